import { TERMINAL_AGENT_STATES } from '../../domain/agent.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { BLAME, EMIT, KEPT_SECONDS, LAST_REGISTRATION, MEND, NOW, TASK_STATE, TITLE } from './shared.ts'

/** A dead agent that somebody has paused starts again as paused. */
const KEPT_STATES = [...TERMINAL_AGENT_STATES, 'paused']

/**
 * Gives what a dead worker had in flight, and what waited for its next attempt, back to the head of its agent's inbox, in its order; a task that it ran is assigned again,
 * with its attempts and its session, and the agent is in error. The owner says that its registration is over: a worker that was only
 * asleep finds that out before it writes anything. A record that somebody deleted is not made again.
 *
 * KEYS: lease, in-flight, inbox, agent record, owner, town events, agent events, delayed, deaths
 * ARGV: agent id, prefix of task records, last error, event message
 * Returns: {'alive'} | {'evicted'} | {'nothing'} | {'ok', messages given back, agent name}
 */
export const recover = script(
  'recover',
  NOW,
  RECORD,
  EMIT,
  BLAME,
  LAST_REGISTRATION,
  MEND,
  TITLE,
  TASK_STATE,
  `
local in_flight, inbox, owner, agent_id = KEYS[2], KEYS[3], KEYS[5], ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 1 then return {'alive'} end
local agent = open(KEYS[4])
mend(agent, agent_id)
if not agent.there then return {'evicted'} end
local claimed = redis.call('LRANGE', in_flight, 0, -1)
local delayed = redis.call('ZRANGE', KEYS[8], 0, -1)
if #claimed + #delayed == 0 then return {'nothing'} end
blame(KEYS[9], in_flight)
for i = #delayed, 1, -1 do redis.call('LPUSH', inbox, delayed[i]) end
redis.call('DEL', KEYS[8])
while redis.call('LMOVE', in_flight, inbox, 'RIGHT', 'LEFT') do end
local count, who = last_registration(owner)
if who and not string.find(who, ':', 1, true) then
  redis.call('SET', owner, count .. ' recovered:' .. who, 'EX', ${KEPT_SECONDS})
end
local at = now()
local event = {event_type = 'agent_state_changed', agent_id = agent_id, message = ARGV[4], timestamp = at}
local function put_back(task_id)
  if type(task_id) ~= 'string' or task_id == '' then return end
  local task = open(ARGV[2] .. task_id)
  if not task.there or task_state(task) ~= 'running' or get(task, 'assigned_to') ~= agent_id then return end
  put(task, 'state', 'assigned', 'updated_at', at)
  drop(task, 'started_at')
  save(task)
  event.task_id = task_id
end
put_back(get(agent, 'current_task'))
-- What others wrote into the record of the agent may have lost its task.
for _, raw in ipairs(claimed) do
  local readable, message = pcall(cjson.decode, raw)
  if readable and type(message) == 'table' then put_back(message.type == 'task_assign' and message.task_id or message.id) end
end
local before = get(agent, 'state') or 'starting'
local after = string.find(',${KEPT_STATES.join(',')},', ',' .. before .. ',', 1, true) and before or 'error'
put(agent, 'state', after, 'last_error', ARGV[3])
drop(agent, 'current_task')
save(agent)
event.old_state, event.new_state = title(before), title(after)
emit(KEYS[6], KEYS[7], event)
return {'ok', tostring(#claimed + #delayed), get(agent, 'name') or ''}`,
)
