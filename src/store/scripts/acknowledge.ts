import { script } from '../script.ts'
import { HANDLED, KEPT_SECONDS, NOW, REFUSAL, TAKE } from './shared.ts'

/** How many notes wait for a prompt, the newest ones. */
const MOST_NOTES = 1000

/**
 * Ends a claimed message that needs no run: keeps its text for the next prompt, or pushes the answer, or only drops it. A message whose id was
 * handled before is only dropped. Where the notes are no list, nothing is written.
 *
 * KEYS: lease, in-flight, notes, reply inbox, handled
 * ARGV: token, digest of the message, note ('' = none), reply message ('' = none), id of the message
 *       ('' = it is not remembered)
 * Returns: {'lost'} | {'ok', how many older notes had to go} | {'gone'} | {'duplicate'} | {'no-notes', type of the key}
 */
export const acknowledge = script(
  'acknowledge',
  NOW,
  TAKE,
  HANDLED,
  REFUSAL,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local raw = find(KEYS[2], ARGV[2])
if not raw then return {'gone'} end
local _, now_ms = now()
local duplicate, keeps = is_handled(KEYS[5], ARGV[5], now_ms), ARGV[3] ~= ''
local notes_type = redis.call('TYPE', KEYS[3]).ok
if keeps and not duplicate and notes_type ~= 'list' and notes_type ~= 'none' then return {'no-notes', notes_type} end
local refused = refusal({KEYS[2], 'list', 'LREM'}, keeps and {KEYS[3], '', 'RPUSH', 'LTRIM', 'EXPIRE'} or nil)
if refused then return refused end
redis.call('LREM', KEYS[2], 1, raw)
if duplicate then return {'duplicate'} end
remember(KEYS[5], ARGV[5], now_ms)
local over = 0
if keeps then
  over = redis.call('RPUSH', KEYS[3], ARGV[3]) - ${MOST_NOTES}
  if over > 0 then redis.call('LTRIM', KEYS[3], over, -1) end
  redis.call('EXPIRE', KEYS[3], ${KEPT_SECONDS})
end
if ARGV[4] ~= '' then redis.pcall('RPUSH', KEYS[4], ARGV[4]) end
return {'ok', math.max(over, 0)}`,
)
