import { script } from '../script.ts'
import { EMIT, NOW } from './shared.ts'

/**
 * Takes the lease of an agent and writes its record, or says who holds the name. A paused agent stays paused.
 *
 * A name whose agent has no record any more is given to the id that asks for it. `dead token` is the token of a holder that is
 * known to be dead: its lease is taken before it runs out.
 *
 * KEYS: lease, agent record, stop flag, names, town events, agent events, owner
 * ARGV: token, lease ms, agent id, name, cli, role ('' = none), prefix of agent records, dead token ('' = none),
 *   then pairs of extra fields
 * Returns: {'held', host, pid, state, ms left, token, start of its process} | {'renamed', agent id of the name} | {'ok', was new: '1' or '0'}
 */
export const register = script(
  'register',
  NOW,
  EMIT,
  `
local lease, agent, stop, names = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, lease_ms, id, name, cli, role = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local owner = redis.call('HGET', names, string.lower(name))
if owner and owner ~= id and redis.call('HEXISTS', ARGV[7] .. owner, 'id') == 1 then return {'renamed', owner} end
local holder = redis.call('GET', lease)
if holder and holder ~= token and holder ~= ARGV[8] then
  local who = redis.call('HMGET', agent, 'host', 'pid', 'state', 'pid_started')
  return {'held', who[1] or '', who[2] or '', who[3] or '', redis.call('PTTL', lease), holder, who[4] or ''}
end
local at = now()
redis.call('SET', lease, token, 'PX', lease_ms)
redis.call('SET', KEYS[7], token)
redis.call('HSET', names, string.lower(name), id)
redis.call('DEL', stop)
local fresh = redis.call('HEXISTS', agent, 'id') == 0
if fresh then
  redis.call('HSET', agent, 'id', id, 'agent_type', 'worker', 'created_at', at, 'tasks_completed', 0,
    'rounds_completed', 0, 'spawn_mode', 'fresh')
end
redis.call('HSET', agent, 'name', name, 'cli', cli, 'last_heartbeat', at, 'last_active_at', at)
if redis.call('HGET', agent, 'state') ~= 'paused' then redis.call('HSET', agent, 'state', 'starting') end
if role ~= '' then redis.call('HSET', agent, 'role_id', role) end
redis.call('HDEL', agent, 'current_task', 'last_error', 'pid_started')
for i = 9, #ARGV, 2 do redis.call('HSET', agent, ARGV[i], ARGV[i + 1]) end
emit(KEYS[5], KEYS[6], {event_type = 'agent_spawned', agent_id = id, new_state = 'Starting',
  message = name .. ' started with ' .. cli, timestamp = at})
return {'ok', fresh and '1' or '0'}`,
)
