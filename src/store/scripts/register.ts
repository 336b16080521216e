import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { BLAME, EMIT, KEPT_SECONDS, LAST_REGISTRATION, NOW, REFUSAL } from './shared.ts'

/**
 * Takes the lease of an agent and writes its record, or says who holds the name. A paused agent stays paused.
 *
 * A name whose agent has no record any more is given to the id that asks for it. `dead token` is the token of a holder that is
 * known to be dead: its lease is taken before it runs out.
 *
 * A predecessor that left something in flight has died with it.
 *
 * What was put by of the queue of an agent that was deleted in the state error comes back.
 *
 * KEYS: lease, agent record, stop flag, names, town events, agent events, owner, urgent, inbox, spare urgent, spare inbox,
 *   agents to be looked after, in-flight, deaths
 * ARGV: token, lease ms, agent id, name, cli, role ('' = none), prefix of agent records, dead token ('' = none),
 *   form of a new record ('hash' or 'json'), registered by this process before: '1' or '0', then pairs of extra fields
 * Returns: {'unreadable', type of the key} | {'held', host, pid, state, ms left, token, start of its process} | {'renamed', agent id of the name} | {'ok', was new: '1' or '0', which registration of the agent it is}
 */
export const register = script(
  'register',
  NOW,
  RECORD,
  EMIT,
  LAST_REGISTRATION,
  BLAME,
  REFUSAL,
  `
local lease, stop, names = KEYS[1], KEYS[3], KEYS[4]
local token, lease_ms, id, name, cli, role = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local owner = redis.call('HGET', names, string.lower(name))
if owner and owner ~= id and open(ARGV[7] .. owner).there then return {'renamed', owner} end
local agent = open(KEYS[2], ARGV[9])
if agent.broken then return {'unreadable', agent.broken} end
local holder = redis.call('GET', lease)
if holder and holder ~= token and holder ~= ARGV[8] then
  return {'held', get(agent, 'host') or '', get(agent, 'pid') or '', get(agent, 'state') or '', redis.call('PTTL', lease),
    holder, get(agent, 'pid_started') or ''}
end
local refused = refusal({lease, 'string', 'SET'}, {KEYS[7], 'string', 'SET'}, {names, 'hash', 'HSET'},
  {KEYS[12], 'set', 'SADD'}, {stop, '', 'DEL'}, changing(agent, 'HDEL'))
if refused then return refused end
local at = now()
redis.call('SET', lease, token, 'PX', lease_ms)
local before, who = last_registration(KEYS[7])
local count = before + 1
-- A repetition, whose reply got lost, has no predecessor.
if who ~= token then blame(KEYS[14], KEYS[13]) end
redis.call('SET', KEYS[7], count .. ' ' .. token, 'EX', ${KEPT_SECONDS})
redis.call('HSET', names, string.lower(name), id)
redis.call('SADD', KEYS[12], id)
-- What was wished of a worker that comes back still holds; a new one begins anew.
local again = ARGV[10] == '1'
if not again then redis.call('DEL', stop) end
local fresh = not agent.there
if fresh then
  put(agent, 'id', id, 'agent_type', 'worker', 'created_at', at, 'tasks_completed', 0,
    'rounds_completed', 0, 'spawn_mode', 'fresh')
  for i = 8, 9 do
    while redis.pcall('LMOVE', KEYS[i + 2], KEYS[i], 'RIGHT', 'LEFT') do end
  end
end
redis.call('DEL', KEYS[10], KEYS[11])
put(agent, 'name', name, 'cli', cli, 'last_heartbeat', at, 'last_active_at', at)
local state = get(agent, 'state')
if state ~= 'paused' and not (again and state == 'draining') then put(agent, 'state', 'starting') end
if role ~= '' then put(agent, 'role_id', role) end
drop(agent, 'current_task', 'last_error', 'pid_started')
for i = 11, #ARGV, 2 do put(agent, ARGV[i], ARGV[i + 1]) end
save(agent)
emit(KEYS[5], KEYS[6], {event_type = 'agent_spawned', agent_id = id, new_state = 'Starting',
  message = name .. ' started with ' .. cli, timestamp = at})
return {'ok', fresh and '1' or '0', count}`,
)
