import { script } from '../script.ts'

/**
 * Ends a claimed message that needs no run: keeps its text for the next prompt, or pushes the answer, or only drops it.
 *
 * KEYS: lease, in-flight, notes, reply inbox
 * ARGV: token, raw, note ('' = none), reply message ('' = none)
 * Returns: {'lost'} | {'ok'} | {'gone'}
 */
export const acknowledge = script(
  'acknowledge',
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
if redis.call('LREM', KEYS[2], 1, ARGV[2]) == 0 then return {'gone'} end
if ARGV[3] ~= '' then redis.call('RPUSH', KEYS[3], ARGV[3]) end
if ARGV[4] ~= '' then redis.call('RPUSH', KEYS[4], ARGV[4]) end
return {'ok'}`,
)
