/** A record that is being put together. */
export class RecordDraft {}
