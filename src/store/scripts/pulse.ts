import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { KEPT_SECONDS, LAST_REGISTRATION, NOW } from './shared.ts'

/**
 * The heartbeat: renews the lease, takes it again when it ran out and nobody registered since, and, when asked, writes the sign
 * of life; tells what others wrote meanwhile. A record that somebody deleted is never made again. A pause or a stop that somebody
 * wrote is never overwritten; a state that is not true is put right: `tt kill` and `tt resume` write one while a run is in hand, and
 * every command of `tt` writes back what it read.
 *
 * KEYS: lease, agent record, stop flag, current task (without one: the agent record again), owner, urgent, inbox, receipt
 * ARGV: token, lease ms, state to assert, write the sign of life: '1' or '0', which registration it is,
 *   start id of the run in hand ('' = none)
 * Returns: {'lost'} | {'forgotten'} (the data is gone, or older than this registration) | {'evicted'} | {'ok', agent state, stop requested: '1' or '0', task state ('' = none), urgent messages, messages}
 */
export const pulse = script(
  'pulse',
  NOW,
  RECORD,
  LAST_REGISTRATION,
  `
local lease, stop = KEYS[1], KEYS[3]
local holder = redis.call('GET', lease)
if holder ~= ARGV[1] then
  local count, who = last_registration(KEYS[5])
  if count < tonumber(ARGV[5]) then return {'forgotten'} end
  if holder or who ~= ARGV[1] then return {'lost'} end
end
redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
local agent = open(KEYS[2])
if not agent.there then return {'evicted'} end
local task = KEYS[4] ~= KEYS[2] and open(KEYS[4]) or nil
local stopping = redis.call('EXISTS', stop)
local state = get(agent, 'state')
local task_state = task and get(task, 'state') or ''
local wanted = stopping == 1 and 'draining' or ARGV[3]
-- A beat that waited for Redis while the run was settled tells of a run that is over.
local still_true = ARGV[6] == '' or redis.call('GET', KEYS[8]) == ARGV[6]
if still_true and state ~= wanted and state ~= 'paused' and state ~= 'draining' then
  put(agent, 'state', wanted)
  state = wanted
end
if ARGV[4] == '1' then
  local at = now()
  put(agent, 'last_heartbeat', at)
  redis.call('EXPIRE', KEYS[5], ${KEPT_SECONDS})
  if task_state == 'running' then
    put(task, 'updated_at', at)
    save(task)
  end
end
save(agent)
return {'ok', state, tostring(stopping), task_state, redis.call('LLEN', KEYS[6]), redis.call('LLEN', KEYS[7])}`,
)
