import { script } from '../script.ts'
import { HANDLED, KEPT_SECONDS, NOW, TAKE } from './shared.ts'

/**
 * Ends a claimed message that needs no run: keeps its text for the next prompt, or pushes the answer, or only drops it. A message whose id was
 * handled before is only dropped.
 *
 * KEYS: lease, in-flight, notes, reply inbox, handled
 * ARGV: token, digest of the message, note ('' = none), reply message ('' = none), id of the message
 *       ('' = it is not remembered)
 * Returns: {'lost'} | {'ok'} | {'gone'} | {'duplicate'}
 */
export const acknowledge = script(
  'acknowledge',
  NOW,
  TAKE,
  HANDLED,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
if not take(KEYS[2], ARGV[2]) then return {'gone'} end
local _, now_ms = now()
if is_handled(KEYS[5], ARGV[5], now_ms) then return {'duplicate'} end
remember(KEYS[5], ARGV[5], now_ms)
if ARGV[3] ~= '' then
  redis.call('RPUSH', KEYS[3], ARGV[3])
  redis.call('EXPIRE', KEYS[3], ${KEPT_SECONDS})
end
if ARGV[4] ~= '' then redis.pcall('RPUSH', KEYS[4], ARGV[4]) end
return {'ok'}`,
)
