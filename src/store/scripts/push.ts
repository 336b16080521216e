import { script } from '../script.ts'

/** How far from its end a list is searched for what was pushed before: a reply is lost seconds ago, not hours. */
const SEARCHED = 1000

/**
 * Pushes a text to one end of a list, unless it is there: a client whose connection broke before the reply sends the push again.
 *
 * KEYS: list
 * ARGV: text, end ('head' or 'tail'), channel to wake ('' = none), word to say on it
 * Returns: length of the list
 */
export const push = script(
  'push',
  `
local list, raw, at_head = KEYS[1], ARGV[1], ARGV[2] == 'head'
if not redis.call('LPOS', list, raw, 'RANK', at_head and 1 or -1, 'MAXLEN', ${SEARCHED}) then
  redis.call(at_head and 'LPUSH' or 'RPUSH', list, raw)
end
if ARGV[3] ~= '' then redis.pcall('PUBLISH', ARGV[3], ARGV[4]) end
return redis.call('LLEN', list)`,
)
