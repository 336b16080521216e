import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { NOW, REFUSAL } from './shared.ts'

/**
 * Makes a task that nobody has yet and puts it at the end of the backlog, so that no reader sees one without the other.
 *
 * KEYS: task, backlog
 * ARGV: task id, description, tags as JSON, form of a new record ('hash' or 'json')
 * Returns: {'exists', tasks in the backlog} | {'ok', tasks in the backlog}
 */
export const addBacklog = script(
  'add-backlog',
  NOW,
  RECORD,
  REFUSAL,
  `
if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists', tostring(redis.call('LLEN', KEYS[2]))} end
local at = now()
local task = open(KEYS[1], ARGV[4])
local refused = refusal({KEYS[2], 'list', 'RPUSH'}, changing(task))
if refused then return refused end
put(task, 'id', ARGV[1], 'description', ARGV[2], 'state', 'pending', 'created_at', at, 'updated_at', at,
  'tags', ARGV[3])
save(task)
return {'ok', tostring(redis.call('RPUSH', KEYS[2], ARGV[1]))}`,
)
