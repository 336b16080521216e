import { script } from '../script.ts'
import { RECORD } from './record.ts'

/**
 * Reads records in either form. What is not there, or is no record, comes back empty.
 *
 * KEYS: records
 * Returns: one list of field, text, field, text … per key
 */
export const readRecords = script(
  'read-records',
  RECORD,
  `
local found = {}
for i, key in ipairs(KEYS) do
  local record = open(key)
  found[i] = record.there and dump(record) or {}
end
return found`,
)
