import { script } from '../script.ts'
import { REFUSAL } from './shared.ts'

/**
 * Takes a message of certain types out of the urgent list or the inbox, past what waits before it, into the in-flight list.
 * It looks at both ends of the inbox only: what is new stands there.
 *
 * KEYS: lease, in-flight, urgent, inbox
 * ARGV: token, types (csv), how many to look at from the head, and from the tail, longest message in bytes
 * Returns: {'lost'} | {'none'} | {'message', raw, digest}
 */
export const pluck = script(
  'pluck',
  REFUSAL,
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {'lost'} end
local refused = refusal({KEYS[2], 'list', 'RPUSH'}, {KEYS[3], 'list', 'LREM'}, {KEYS[4], 'list', 'LREM'})
if refused then return refused end
local wanted = {}
for word in string.gmatch(ARGV[2], '[^,]+') do wanted[word] = true end
local function take_from(list, from, to)
  for _, raw in ipairs(redis.call('LRANGE', list, from, to)) do
    local readable, message = false, nil
    if #raw <= tonumber(ARGV[5]) then readable, message = pcall(cjson.decode, raw) end
    if readable and type(message) == 'table' and wanted[message.type] then
      redis.call('LREM', list, 1, raw)
      redis.call('RPUSH', KEYS[2], raw)
      return raw
    end
  end
end
local raw = take_from(KEYS[3], 0, ARGV[3] - 1) or take_from(KEYS[4], 0, ARGV[3] - 1) or take_from(KEYS[4], -ARGV[4], -1)
if not raw then return {'none'} end
return {'message', raw, redis.sha1hex(raw)}`,
)
