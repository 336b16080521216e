import { script } from '../script.ts'
import { EMIT, NOW } from './shared.ts'

/**
 * Takes the lease of an agent and writes its record, or says who holds the name. A paused agent stays paused.
 *
 * KEYS: lease, agent record, stop flag, names, town events, agent events, owner
 * ARGV: token, lease ms, agent id, name, cli, role ('' = none), then pairs of extra fields
 * Returns: {'held', host, pid, state, ms left} | {'renamed', agent id of the name} | {'ok', was new: '1' or '0'}
 */
export const register = script(
  'register',
  NOW,
  EMIT,
  `
local lease, agent, stop, names = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local token, lease_ms, id, name, cli, role = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local owner = redis.call('HGET', names, string.lower(name))
if owner and owner ~= id then return {'renamed', owner} end
local holder = redis.call('GET', lease)
if holder and holder ~= token then
  local who = redis.call('HMGET', agent, 'host', 'pid', 'state')
  return {'held', who[1] or '', who[2] or '', who[3] or '', redis.call('PTTL', lease)}
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
redis.call('HDEL', agent, 'current_task', 'last_error')
for i = 7, #ARGV, 2 do redis.call('HSET', agent, ARGV[i], ARGV[i + 1]) end
emit(KEYS[5], KEYS[6], {event_type = 'agent_spawned', agent_id = id, new_state = 'Starting',
  message = name .. ' started with ' .. cli, timestamp = at})
return {'ok', fresh and '1' or '0'}`,
)
