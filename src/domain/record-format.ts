/** Tinytown 0.10 keeps records as hashes, its guide documents JSON strings; `tt` 0.10 sees hashes only. */
export const RECORD_FORMATS = ['hash', 'json'] as const
export type RecordFormat = (typeof RECORD_FORMATS)[number]
