export * from './frame.js';
export { Link } from './link.js';
export type { LinkEnd, LinkHandler, LinkOptions, LinkPort, PingCallback } from './link.js';
export { RecordDraft } from './draft.js';
export { RecordOpener, RecordSealer } from './record.js';
