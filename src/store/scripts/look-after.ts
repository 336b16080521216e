import { script } from '../script.ts'

/** What was seen is forgotten when nobody looks for so long: a server that was away itself begins to count anew. */
const SEEN_MS = 5000

/**
 * Looks which agents of the town have something in flight, or waiting for its next attempt, and no live worker, and since when. An agent whose worker only lost sight
 * of Redis has the grace to come back: where Redis itself was away, every lease ran out. However many workers ask, the town is looked
 * through once a turn, and when a grace is over. An agent without a record is looked after no more.
 *
 * KEYS: what was seen, agents to be looked after
 * ARGV: lease key prefix, lease key suffix, in-flight key prefix, in-flight key suffix, prefix of agent records, grace ms, turn ms,
 *   delayed key prefix, delayed key suffix
 * Returns: {ms until the next grace is over ('' = nobody is silent), agent id whose grace is over …}
 */
export const lookAfter = script(
  'look-after',
  `
local grace, turn = tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local at = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function whole(number) return string.format('%.0f', number) end
-- A key that somebody made something else concerns its agent, not the town.
local function length(list)
  local count = redis.pcall('LLEN', list)
  return type(count) == 'number' and count or 0
end
local seen, flat = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do seen[flat[i]] = tonumber(flat[i + 1]) end
local age = at - (seen.looked or 0)
if age >= 0 and age < turn and at < (seen.due or math.huge) then return {seen.due and whole(seen.due - at) or ''} end
local reply, due, now_seen = {''}, nil, {'looked', whole(at)}
for _, id in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  if redis.call('EXISTS', ARGV[1] .. id .. ARGV[2]) == 0 then
    if redis.call('EXISTS', ARGV[5] .. id) == 0 then
      redis.call('SREM', KEYS[2], id)
    elseif length(ARGV[3] .. id .. ARGV[4]) > 0 or redis.call('EXISTS', ARGV[8] .. id .. ARGV[9]) == 1 then
      -- Where the clock was put back, the count begins anew.
      local since = math.min(seen[id] or at, at)
      if at - since >= grace then
        reply[#reply + 1] = id
      else
        due = math.min(due or since + grace, since + grace)
      end
      now_seen[#now_seen + 1] = id
      now_seen[#now_seen + 1] = whole(since)
    end
  end
end
if due then
  reply[1] = whole(due - at)
  now_seen[#now_seen + 1] = 'due'
  now_seen[#now_seen + 1] = whole(due)
end
redis.call('DEL', KEYS[1])
for i = 1, #now_seen, 2 do redis.call('HSET', KEYS[1], now_seen[i], now_seen[i + 1]) end
redis.call('PEXPIRE', KEYS[1], ${SEEN_MS})
return reply`,
)
