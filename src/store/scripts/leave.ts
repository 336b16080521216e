import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, KEPT_SECONDS, LAST_REGISTRATION, NOW, REFUSAL, TITLE } from './shared.ts'

/**
 * Ends an agent's life: what is still in flight, and what waits for its next attempt, goes back to the head of the inbox in its order, the state becomes stopped,
 * the stop flag and the lease go. A pause outlives the worker, unless somebody asked it to stop: the next one of the name is paused. For a while the owner says who left, so that a repetition changes nothing and nobody takes a
 * registration that ended for data that Redis lost.
 *
 * KEYS: lease, in-flight, inbox, agent record, stop flag, town events, agent events, owner, spare urgent, spare inbox, delayed,
 *   agents to be looked after
 * ARGV: token, agent id, message, leave the record as it is, as another worker writes it: '1' or '0'
 * Returns: {'lost'} | {'ok', messages given back}
 */
export const leave = script(
  'leave',
  NOW,
  RECORD,
  EMIT,
  TITLE,
  LAST_REGISTRATION,
  REFUSAL,
  `
local lease, in_flight, inbox, stop = KEYS[1], KEYS[2], KEYS[3], KEYS[5]
local left = 'left:' .. ARGV[1]
if redis.call('GET', lease) ~= ARGV[1] then
  local _, who = last_registration(KEYS[8])
  if who == left then return {'ok', '0'} end
  return {'lost'}
end
local agent = open(KEYS[4])
local refused = refusal({in_flight, 'list', 'LMOVE'}, {inbox, 'list', 'LPUSH'}, {KEYS[8], 'string', 'SET'},
  {KEYS[12], 'set', 'SREM'}, {lease, '', 'DEL'}, changing(agent, 'HDEL'))
if refused then return refused end
local stopping = redis.call('EXISTS', stop) == 1
local back = 0
local delayed = redis.call('ZRANGE', KEYS[11], 0, -1)
for i = #delayed, 1, -1 do
  redis.call('LPUSH', inbox, delayed[i])
  back = back + 1
end
while redis.call('LMOVE', in_flight, inbox, 'RIGHT', 'LEFT') do back = back + 1 end
redis.call('DEL', lease, stop, KEYS[9], KEYS[10], KEYS[11])
redis.call('SREM', KEYS[12], ARGV[2])
redis.call('SET', KEYS[8], last_registration(KEYS[8]) .. ' ' .. left, 'EX', ${KEPT_SECONDS})
if agent.there and ARGV[4] ~= '1' then
  local at = now()
  local before = get(agent, 'state') or 'starting'
  local after = before == 'paused' and not stopping and 'paused' or 'stopped'
  put(agent, 'state', after, 'last_heartbeat', at)
  drop(agent, 'current_task', 'circuit')
  save(agent)
  emit(KEYS[6], KEYS[7], {event_type = 'agent_stopped', agent_id = ARGV[2], old_state = title(before),
    new_state = title(after), message = ARGV[3], timestamp = at})
end
return {'ok', tostring(back)}`,
)
