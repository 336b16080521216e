import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { BURY, NOW } from './shared.ts'

/**
 * Takes a message that was looked at before off its list. One that cannot be read goes to the dead letters in the same step.
 *
 * KEYS: list, dead letters, agent record
 * ARGV: raw, agent id, reason ('' = the message is readable), detail, '1' when a blocking pop has taken it off already
 * Returns: {'ok'} | {'gone'} (somebody else has taken it)
 */
export const take = script(
  'take',
  NOW,
  RECORD,
  BURY,
  `
if ARGV[5] ~= '1' and redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {'gone'} end
if ARGV[3] ~= '' then
  local agent = open(KEYS[3])
  bury(KEYS[2], ARGV[2], agent.there and get(agent, 'name') or '', ARGV[3], ARGV[4], ARGV[1])
end
return {'ok'}`,
)
