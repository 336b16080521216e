import { TERMINAL_AGENT_STATES } from '../../domain/agent.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import {
  BLAME,
  BURY,
  EMIT,
  KEPT_SECONDS,
  LAST_REGISTRATION,
  MEND,
  NOW,
  REFUSAL,
  TAKE,
  TASK_STATE,
  TITLE,
} from './shared.ts'

/** A dead agent that somebody has paused starts again as paused. */
const KEPT_STATES = [...TERMINAL_AGENT_STATES, 'paused']

/**
 * Gives what a dead worker had in flight, and what waited for its next attempt, back to the head of its agent's inbox, in its order; a task that it ran is assigned again,
 * with its attempts and its session, and the agent is in error. The owner says that its registration is over: a worker that was only
 * asleep finds that out before it writes anything. A record that somebody deleted is not made again.
 *
 * A task that was run at most once is not given back: it is failed, and its message goes to the dead letters. Its end has to be told
 * by whoever asks: without it nothing is written, and the reply says what is needed to tell it.
 *
 * KEYS: lease, in-flight, inbox, agent record, owner, town events, agent events, delayed, dead letters, deaths
 * ARGV: agent id, prefix of task records, last error, event message, ends of lost runs as JSON (task id -> result, digest of its
 *       message, inbox for the answer, the answer; all but the result may be absent)
 * Returns: {'alive'} | {'evicted'} | {'nothing'} | {'ok', messages given back, agent name}
 *        | {'lost-run', task id, #task fields, task field, value …, raw, digest of each message in flight …}
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
  TAKE,
  BURY,
  REFUSAL,
  `
local in_flight, inbox, owner, agent_id = KEYS[2], KEYS[3], KEYS[5], ARGV[1]
if redis.call('EXISTS', KEYS[1]) == 1 then return {'alive'} end
local agent = open(KEYS[4])
mend(agent, agent_id)
if not agent.there then return {'evicted'} end
local claimed = redis.call('LRANGE', in_flight, 0, -1)
local delayed = redis.call('ZRANGE', KEYS[8], 0, -1)
if #claimed + #delayed == 0 then return {'nothing'} end
local ends, ran, lost, seen = cjson.decode(ARGV[5]), {}, {}, {}
local function note_run(task_id)
  if type(task_id) ~= 'string' or task_id == '' or seen[task_id] then return end
  seen[task_id] = true
  local task = open(ARGV[2] .. task_id)
  if not task.there or task_state(task) ~= 'running' or get(task, 'assigned_to') ~= agent_id then return end
  local list = get(task, 'delivery') == 'at-most-once' and lost or ran
  list[#list + 1] = {id = task_id, record = task}
end
note_run(get(agent, 'current_task'))
-- What others wrote into the record of the agent may have lost its task.
for _, raw in ipairs(claimed) do
  local readable, message = pcall(cjson.decode, raw)
  if readable and type(message) == 'table' then note_run(message.type == 'task_assign' and message.task_id or message.id) end
end
for _, task in ipairs(lost) do
  if not ends[task.id] then
    local fields = dump(task.record)
    local reply = {'lost-run', task.id, #fields, unpack(fields)}
    for _, raw in ipairs(claimed) do
      reply[#reply + 1] = raw
      reply[#reply + 1] = redis.sha1hex(raw)
    end
    return reply
  end
end
local refused = refusal(changing(agent, 'HDEL'), {in_flight, 'list', 'LMOVE', 'LREM'}, {inbox, 'list', 'LPUSH', 'LMOVE'},
  {KEYS[8], 'zset', 'DEL'}, {owner, 'string', 'SET'}, #lost > 0 and {KEYS[9], 'stream', 'XADD'} or nil)
if refused then return refused end
blame(KEYS[10], in_flight)
local at = now()
local buried = 0
for _, task in ipairs(lost) do
  local told = ends[task.id]
  put(task.record, 'state', 'failed', 'result', told.result, 'reason', 'crashed', 'updated_at', at, 'completed_at', at)
  drop(task.record, 'delivery')
  save(task.record)
  local raw = told.digest and take(in_flight, told.digest)
  if raw then
    buried = buried + 1
    bury(KEYS[9], agent_id, get(agent, 'name') or '', 'crashed', told.result, raw, task.id)
  end
  if told.answer then redis.pcall('RPUSH', told.inbox, told.answer) end
  emit(KEYS[6], KEYS[7], {event_type = 'task_failed', agent_id = agent_id, task_id = task.id,
    message = 'crashed: ' .. told.result, reason = 'crashed', timestamp = at})
end
for i = #delayed, 1, -1 do redis.call('LPUSH', inbox, delayed[i]) end
redis.call('DEL', KEYS[8])
while redis.call('LMOVE', in_flight, inbox, 'RIGHT', 'LEFT') do end
local count, who = last_registration(owner)
if who and not string.find(who, ':', 1, true) then
  redis.call('SET', owner, count .. ' recovered:' .. who, 'EX', ${KEPT_SECONDS})
end
local event = {event_type = 'agent_state_changed', agent_id = agent_id, message = ARGV[4], timestamp = at}
for _, task in ipairs(ran) do
  put(task.record, 'state', 'assigned', 'updated_at', at)
  drop(task.record, 'started_at')
  save(task.record)
  event.task_id = task.id
end
local before = get(agent, 'state') or 'starting'
local after = string.find(',${KEPT_STATES.join(',')},', ',' .. before .. ',', 1, true) and before or 'error'
put(agent, 'state', after, 'last_error', ARGV[3])
drop(agent, 'current_task', 'circuit')
save(agent)
event.old_state, event.new_state = title(before), title(after)
emit(KEYS[6], KEYS[7], event)
return {'ok', tostring(#claimed + #delayed - buried), get(agent, 'name') or ''}`,
)
