import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { KEPT_SECONDS, LAST_REGISTRATION, MEND, NOW } from './shared.ts'

/**
 * The heartbeat: renews the lease, takes it again when it ran out and nobody registered since, and, when asked, writes the sign
 * of life; tells what others wrote meanwhile. A record that somebody deleted is never made again. A pause or a stop that somebody
 * wrote is never overwritten; a state that is not true is put right: `tt kill` and `tt resume` write one while a run is in hand, and
 * every command of `tt` writes back what it read.
 *
 * While the state is error a copy of what waits is kept: `tt prune` deletes an agent in this state with its queue.
 *
 * KEYS: lease, agent record, stop flag, current task (without one: the agent record again), owner, urgent, inbox, receipt,
 *   spare urgent, spare inbox
 * ARGV: token, lease ms, state to assert, write the sign of life: '1' or '0', which registration it is,
 *   start id of the run in hand ('' = none), agent id
 * Returns: {'lost'} | {'forgotten'} (the data is gone, or older than this registration) | {'recovered'} (a peer took this worker for
 *   dead and gave back what it had in hand) | {'evicted'} | {'ok', agent state, stop requested: '1' or '0', task state ('' = none), urgent messages, messages}
 */
export const pulse = script(
  'pulse',
  NOW,
  RECORD,
  LAST_REGISTRATION,
  MEND,
  `
local lease, stop = KEYS[1], KEYS[3]
local holder = redis.call('GET', lease)
if holder ~= ARGV[1] then
  local count, who = last_registration(KEYS[5])
  if count < tonumber(ARGV[5]) then return {'forgotten'} end
  if not holder and who == 'recovered:' .. ARGV[1] then return {'recovered'} end
  if holder or who ~= ARGV[1] then return {'lost'} end
end
-- The first write is one that Redis allows without memory, and so are those behind it: a lease that cannot be renewed costs the run.
if holder then
  redis.call('PEXPIRE', lease, ARGV[2])
else
  redis.call('DEL', lease)
  redis.call('SET', lease, ARGV[1], 'PX', ARGV[2])
end
local agent = open(KEYS[2])
mend(agent, ARGV[7])
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
local function length(list)
  local count = redis.pcall('LLEN', list)
  return type(count) == 'number' and count or 0
end
for i = 6, 7 do
  local list, spare = KEYS[i], KEYS[i + 3]
  if ARGV[3] ~= 'error' or length(list) == 0 then
    redis.call('DEL', spare)
  elseif length(list) ~= length(spare) or redis.call('LINDEX', list, 0) ~= redis.call('LINDEX', spare, 0)
    or redis.call('LINDEX', list, -1) ~= redis.call('LINDEX', spare, -1) then
    redis.call('COPY', list, spare, 'REPLACE')
    redis.call('EXPIRE', spare, 3600)
  end
end
return {'ok', state, tostring(stopping), task_state, length(KEYS[6]), length(KEYS[7])}`,
)
