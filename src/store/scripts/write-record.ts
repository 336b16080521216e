import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW, TITLE } from './shared.ts'

/**
 * Writes a whole record, in the form in which it is there. Fields that are not named stay. A change of its state is told.
 *
 * KEYS: record, town events, agent events
 * ARGV: form of a new record ('hash' or 'json'), event as JSON without its time and states, '1' = the event tells the states,
 *   number of fields that must be absent, these fields, then field and value in turn
 * Returns: {'unreadable', what the key is} | {'ok'}
 */
export const writeRecord = script(
  'write-record',
  NOW,
  RECORD,
  EMIT,
  TITLE,
  `
local record = open(KEYS[1], ARGV[1])
if record.broken then return {'unreadable', record.broken} end
local before = record.there and get(record, 'state') or nil
local first = 5 + tonumber(ARGV[4])
for i = 5, first - 1 do drop(record, ARGV[i]) end
for i = first, #ARGV, 2 do put(record, ARGV[i], ARGV[i + 1]) end
save(record)
local after = get(record, 'state')
if before ~= after and ARGV[2] ~= '' then
  local event = cjson.decode(ARGV[2])
  event.timestamp = (now())
  if ARGV[3] == '1' then
    event.new_state = title(after)
    if before then event.old_state = title(before) end
  end
  emit(KEYS[2], KEYS[3], event)
end
return {'ok'}`,
)
