export { SessionSlot } from './attach.js';
export type { SlotOptions } from './attach.js';
export { ProcessBudget } from './credit.js';
export { Session } from './session.js';
export { Stream } from './stream.js';
export type { StreamState } from './stream.js';
export type { OpenRequest, SessionEvents, SessionStats, StreamHandler } from './types.js';
