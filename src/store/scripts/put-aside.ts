import { isTerminal, TASK_STATES } from '../../domain/task.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { BURY, EMIT, NOW, REFUSAL, TAKE, TASK_STATE } from './shared.ts'

const OPEN = TASK_STATES.filter((state) => !isTerminal(state))

/**
 * Moves a message that is in flight and cannot be run, or with which too many workers died, to the dead letters. Its task has failed,
 * where it is one and is this agent's. The text is read here alone: to read it may be what kills a worker.
 *
 * KEYS: lease, in-flight, dead letters, deaths, town events, agent events
 * ARGV: token, digest of the message, agent id, agent name, reason, detail, prefix of task records
 * Returns: {'lost'} | {'ok', dead letter id} | {'gone'}
 */
export const putAside = script(
  'put-aside',
  NOW,
  RECORD,
  EMIT,
  TAKE,
  TASK_STATE,
  BURY,
  REFUSAL,
  `
local in_flight, dead_letters, agent_id, agent_name, reason, detail = KEYS[2], KEYS[3], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local raw = find(in_flight, ARGV[2])
if not raw then return {'gone'} end
local readable, message = pcall(cjson.decode, raw)
local task_id = readable and type(message) == 'table' and (message.type == 'task_assign' and message.task_id or message.id)
local task = type(task_id) == 'string' and open(ARGV[7] .. task_id) or {}
local fails = task.there and string.find(',${OPEN.join(',')},', ',' .. task_state(task) .. ',', 1, true)
  and (get(task, 'assigned_to') or agent_id) == agent_id
local refused = refusal({in_flight, 'list', 'LREM'}, {dead_letters, 'stream', 'XADD'}, fails and changing(task) or nil)
if refused then return refused end
local id = bury(dead_letters, agent_id, agent_name, reason, detail, raw, task.there and task_id or '')
if fails then
  local at = now()
  put(task, 'state', 'failed', 'reason', reason, 'result', detail, 'completed_at', at, 'updated_at', at)
  save(task)
  emit(KEYS[5], KEYS[6], {event_type = 'task_failed', agent_id = agent_id, task_id = task_id, message = detail,
    reason = reason, timestamp = at})
end
redis.call('LREM', in_flight, 1, raw)
redis.pcall('HDEL', KEYS[4], ARGV[2])
return {'ok', id}`,
)
