import { script } from '../script.ts'
import { NOW } from './shared.ts'

/**
 * The heartbeat: renews the lease, takes it again when it ran out and nobody registered since, and, when asked, writes the sign of life; tells what others wrote meanwhile. A record that
 * somebody deleted is never made again. A pause or a stop that somebody wrote is never overwritten; a state that a stale
 * read of \`tt\` brought back is put right.
 *
 * KEYS: lease, agent record, stop flag, current task (without one: the agent record again), owner
 * ARGV: token, lease ms, state to assert, write the sign of life: '1' or '0'
 * Returns: {'lost'} | {'forgotten'} (nobody is registered: the data is gone) | {'evicted'} | {'ok', agent state, stop requested: '1' or '0', task state ('' = none)}
 */
export const pulse = script(
  'pulse',
  NOW,
  `
local lease, agent, stop, task = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local holder = redis.call('GET', lease)
if holder and holder ~= ARGV[1] then return {'lost'} end
local owner = redis.call('GET', KEYS[5])
if not holder and not owner then return {'forgotten'} end
if not holder and owner ~= ARGV[1] then return {'lost'} end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
if redis.call('HEXISTS', agent, 'id') == 0 then return {'evicted'} end
local stopping = redis.call('EXISTS', stop)
local state = redis.call('HGET', agent, 'state')
local task_state = task ~= agent and redis.call('HGET', task, 'state') or ''
if ARGV[4] == '1' then
  local at = now()
  local wanted = ARGV[3]
  if stopping == 1 then wanted = 'draining' end
  if state ~= wanted and state ~= 'paused' and state ~= 'draining' then
    redis.call('HSET', agent, 'state', wanted)
    state = wanted
  end
  redis.call('HSET', agent, 'last_heartbeat', at)
  if task_state == 'running' then redis.call('HSET', task, 'updated_at', at) end
end
return {'ok', state, tostring(stopping), task_state}`,
)
