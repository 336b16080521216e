import { IN_HAND } from '../../domain/task.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import {
  ACTIVITY,
  BURY,
  EMIT,
  HANDLED,
  KEPT_SECONDS,
  NOW,
  REFUSAL,
  TAKE,
  TASK_STATE,
  TITLE,
} from './shared.ts'

/**
 * Writes how a task ended, acknowledges its message and makes the agent idle: all of it or nothing. A task that somebody
 * else ended meanwhile (the CLI itself by `tt task complete`, or a cancel) keeps that end; only what is known of the run is
 * added. One that another agent has started meanwhile is left alone, and by a run that did not complete one that another agent was given;
 * any other word that somebody wrote gives way. The state running leaves the task to be ended by somebody else. A task that was deleted is not made again. Repeating a settle whose reply was lost changes nothing.
 *
 * A spooled result, which another process left, is written only to a task that is still this agent's to settle: assigned or running.
 * Its message may be back in the inbox by then.
 *
 * KEYS: lease, in-flight, task, agent record, notes, receipt, activity, town events, agent events, reply inbox, dead letters, inbox,
 *   handled
 * ARGV: token, digest of the message, settle id, agent id, task id, state, allowed-from states (csv), result, reason ('' = none),
 *       number of notes used, reply message ('' = none), event message, activity text,
 *       which end the reply tells of ('' = that of the run, else the state that was found), why its message goes to the dead letters
 *       ('' = it does not), spooled: '1' or '0', id of the message ('' = it is not remembered),
 *       then pairs of extra fields
 * Returns: {'lost'} | {'left', 'gone', 'ended' or 'elsewhere'} (of a spooled result; nothing was written)
 *   | {'ok'} | {'ended', state} | {'gone'}, each of these three with the rounds that the agent has completed now,
 *   or {'reread', state} (nothing was written: the reply tells of another end)
 */
export const settle = script(
  'settle',
  NOW,
  RECORD,
  EMIT,
  TAKE,
  ACTIVITY,
  TITLE,
  TASK_STATE,
  BURY,
  HANDLED,
  REFUSAL,
  `
local lease, in_flight, notes, receipt = KEYS[1], KEYS[2], KEYS[5], KEYS[6]
local token, digest, settle_id, agent_id, task_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local state, allowed, result, reason = ARGV[6], ',' .. ARGV[7] .. ',', ARGV[8], ARGV[9]
if redis.call('GET', receipt) == settle_id then return {'ok'} end
if redis.call('GET', lease) ~= token then return {'lost'} end
local at, now_ms = now()
local task, agent = open(KEYS[3]), open(KEYS[4])
local verdict, elsewhere, spooled = {'ok'}, false, ARGV[16] == '1'
if spooled then
  if not task.there then return {'left', 'gone'} end
  local found = task_state(task)
  if not string.find(',${IN_HAND.join(',')},', ',' .. found .. ',', 1, true) then return {'left', 'ended'} end
  if get(task, 'assigned_to') ~= agent_id then return {'left', 'elsewhere'} end
end
if not task.there then
  verdict = {'gone'}
else
  local found = task_state(task)
  elsewhere = (get(task, 'assigned_to') or agent_id) ~= agent_id
    and (found == 'running' or found == 'assigned' and state ~= 'completed')
  if elsewhere or not string.find(allowed, ',' .. found .. ',', 1, true) then verdict = {'ended', found} end
end
if ARGV[11] ~= '' and verdict[1] == 'ended' and verdict[2] ~= ARGV[14] then return {'reread', verdict[2]} end
-- Whoever cancelled a task with our script has told it.
local is_told = verdict[2] == 'cancelled' and get(task, 'reason') == 'cancelled'
local list, raw = in_flight, find(in_flight, digest)
if not raw and spooled then list, raw = KEYS[12], find(KEYS[12], digest) end
local buries = ARGV[15] ~= '' and verdict[1] == 'ok' and raw
local refused = refusal(changing(task, 'HDEL'), changing(agent, 'HDEL'), {list, 'list', 'LREM'}, {receipt, 'string', 'SET'},
  buries and {KEYS[11], 'stream', 'XADD'} or nil)
if refused then return refused end
if buries then bury(KEYS[11], agent_id, get(agent, 'name') or '', reason, ARGV[15], raw, task_id) end
if task.there and not elsewhere then
  for i = 18, #ARGV, 2 do put(task, ARGV[i], ARGV[i + 1]) end
  drop(task, 'delivery')
end
if verdict[1] == 'ok' then
  put(task, 'updated_at', at, 'assigned_to', agent_id)
  if state ~= 'running' then put(task, 'state', state, 'result', result, 'completed_at', at) end
  if reason ~= '' then put(task, 'reason', reason) end
  if state == 'completed' and agent.there then add(agent, 'tasks_completed', 1) end
end
if raw then redis.call('LREM', list, 1, raw) end
remember(KEYS[13], ARGV[17], now_ms)
-- A run that failed may have failed before it read them: told twice is better than never.
if tonumber(ARGV[10]) > 0 and (state == 'completed' or state == 'running') then redis.pcall('LTRIM', notes, ARGV[10], -1) end
redis.call('SET', receipt, settle_id, 'EX', ${KEPT_SECONDS})
save(task)
local after = 'idle'
if agent.there then
  local before = get(agent, 'state')
  if before == 'paused' or before == 'draining' then after = before end
  put(agent, 'state', after)
  if get(agent, 'current_task') == task_id then drop(agent, 'current_task') end
  drop(agent, 'last_error', 'parked_until')
  put(agent, 'last_active_at', at, 'last_heartbeat', at)
  local round = add(agent, 'rounds_completed', 1)
  save(agent)
  note_activity(KEYS[7], 'Round ' .. round .. ': ' .. ARGV[13])
end
if ARGV[11] ~= '' then redis.pcall('RPUSH', KEYS[10], ARGV[11]) end
local stands = verdict[2] or state
local kinds = {completed = 'task_completed', failed = 'task_failed', cancelled = 'task_failed'}
local event = {event_type = not is_told and kinds[stands] or 'agent_state_changed', agent_id = agent_id,
  task_id = task_id, old_state = 'Working', new_state = title(after), message = ARGV[12], timestamp = at}
if elsewhere then
  event.message = 'the run ended, and another agent ' .. (stands == 'running' and 'runs' or 'has') .. ' the task'
elseif verdict[1] == 'ended' then
  event.message = 'the task was ' .. stands .. ' before the run ended'
elseif reason ~= '' then
  event.reason = reason
end
emit(KEYS[8], KEYS[9], event)
return {verdict[1], verdict[2] or '', agent.there and get(agent, 'rounds_completed') or ''}`,
)
