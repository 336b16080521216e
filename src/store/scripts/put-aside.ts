import { script } from '../script.ts'
import { BURY, NOW, TAKE } from './shared.ts'

/**
 * Moves a claimed message that cannot be run to the dead letters, with its text and the reason.
 *
 * KEYS: lease, in-flight, dead letters
 * ARGV: token, digest of the message, agent id, agent name, reason, detail
 * Returns: {'lost'} | {'ok', dead letter id} | {'gone'}
 */
export const putAside = script(
  'put-aside',
  NOW,
  TAKE,
  BURY,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local raw = take(KEYS[2], ARGV[2])
if not raw then return {'gone'} end
return {'ok', bury(KEYS[3], ARGV[3], ARGV[4], ARGV[5], ARGV[6], raw)}`,
)
