import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { TASK_STATE } from './shared.ts'

/** The words of a task that say for whom it is stand at its beginning. */
const LONGEST_TEXT = 16 * 1024

/**
 * Reads a part of the backlog: what says for whom a task is. Tasks at their end are taken off the list on the way. The mark of a
 * backlog differs when one was added or taken.
 *
 * KEYS: backlog
 * ARGV: prefix of task records, mark that was seen ('' = none), from, count, terminal states (csv)
 * Returns: {mark} (it is as it was seen) | {mark, next from ('' = that was all), id, tags as JSON, description …}
 */
export const lookBacklog = script(
  'look-backlog',
  RECORD,
  TASK_STATE,
  `
local list, from, count = KEYS[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local function mark()
  return redis.call('LLEN', list) .. ' ' .. (redis.call('LINDEX', list, 0) or '') .. ' ' .. (redis.call('LINDEX', list, -1) or '')
end
if mark() == ARGV[2] then return {mark()} end
local ids = redis.call('LRANGE', list, from, from + count - 1)
local found, removed = {}, 0
for _, id in ipairs(ids) do
  local task = open(ARGV[1] .. id)
  if task.there and string.find(',' .. ARGV[5] .. ',', ',' .. task_state(task) .. ',', 1, true) then
    removed = removed + redis.call('LREM', list, 1, id)
  elseif task.there then
    found[#found + 1] = id
    found[#found + 1] = get(task, 'tags') or '[]'
    found[#found + 1] = string.sub(get(task, 'description') or '', 1, ${LONGEST_TEXT})
  end
end
local reply = {mark(), #ids < count and '' or tostring(from + #ids - removed)}
for i = 1, #found do reply[#reply + 1] = found[i] end
return reply`,
)
