export * from './frame.js';
export { Link } from './link.js';
export type { LinkEnd, LinkHandler, LinkOptions, LinkPort } from './link.js';
export { RecordOpener, RecordSealer } from './record.js';
