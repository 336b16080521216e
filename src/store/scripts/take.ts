import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { BURY, NOW, REFUSAL } from './shared.ts'

/**
 * Takes a message that was looked at before off its list. One that cannot be read goes to the dead letters in the same step; where
 * these do not take it, one that was popped goes back to its list.
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
  REFUSAL,
  `
local refused = ARGV[3] ~= '' and refusal({KEYS[2], 'stream', 'XADD'})
if refused then
  if ARGV[5] == '1' then redis.call('LPUSH', KEYS[1], ARGV[1]) end
  return refused
end
if ARGV[5] ~= '1' and redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return {'gone'} end
if ARGV[3] ~= '' then
  local agent = open(KEYS[3])
  bury(KEYS[2], ARGV[2], agent.there and get(agent, 'name') or '', ARGV[3], ARGV[4], ARGV[1])
end
return {'ok'}`,
)
