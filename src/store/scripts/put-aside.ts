import { script } from '../script.ts'
import { NOW, TAKE } from './shared.ts'

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
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local raw = take(KEYS[2], ARGV[2])
if not raw then return {'gone'} end
local at = now()
local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', '10000', '*', 'agent_id', ARGV[3], 'agent', ARGV[4],
  'reason', ARGV[5], 'detail', ARGV[6], 'message', raw, 'timestamp', at)
return {'ok', id}`,
)
