import { AGENT_STATES } from '../../domain/agent.ts'
import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { ACTIVITY, EMIT, NOW, REFUSAL, TITLE } from './shared.ts'

/**
 * Asks an agent for another state from outside, as `tt kill`, `close`, `interrupt` and `resume` do, and wakes its worker: state,
 * stop flag, activity, event. What applies may differ where no worker is alive: nobody would carry it out then.
 *
 * KEYS: lease, agent record, stop flag, activity, town events, agent events
 * ARGV: agent id, seconds that the stop flag lives ('0' = take it away, '' = leave it), event message, activity text, wake channel,
 *   then with a live worker, and once more without one: refused in these states (csv), new state, event type
 * Returns: {'no-agent'} | {'refused', state} | {'ok', old state, new state}
 */
export const steer = script(
  'steer',
  NOW,
  RECORD,
  EMIT,
  TITLE,
  ACTIVITY,
  REFUSAL,
  `
local agent = open(KEYS[2])
if not agent.there then return {'no-agent'} end
local before = get(agent, 'state') or ''
if not string.find(',${AGENT_STATES.join(',')},', ',' .. before .. ',', 1, true) then before = 'starting' end
local from = redis.call('EXISTS', KEYS[1]) == 1 and 6 or 9
local refused, after, event_type = ARGV[from], ARGV[from + 1], ARGV[from + 2]
if string.find(',' .. refused .. ',', ',' .. before .. ',', 1, true) then return {'refused', before} end
local refused = refusal(changing(agent), {KEYS[3], '', 'DEL', 'SETEX'})
if refused then return refused end
if before ~= after then
  put(agent, 'state', after)
  save(agent)
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[3])
elseif ARGV[2] ~= '' then
  redis.call('SETEX', KEYS[3], ARGV[2], '1')
end
note_activity(KEYS[4], ARGV[4])
if before ~= after then
  emit(KEYS[5], KEYS[6], {event_type = event_type, agent_id = ARGV[1], old_state = title(before),
    new_state = title(after), message = ARGV[3], timestamp = (now())})
end
redis.pcall('PUBLISH', ARGV[5], after)
return {'ok', before, after}`,
)
