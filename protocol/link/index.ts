export * from './frame.js';
export { Link } from './link.js';
export type { LinkEnd, LinkHandler, LinkOptions, LinkPort } from './link.js';
export type { PingCallback } from './liveness.js';
export { RecordDraft } from './draft.js';
export { RecordOpener, RecordSealer } from './record.js';
