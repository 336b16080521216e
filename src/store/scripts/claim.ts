import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { DEATHS, MEND, NOW, REFUSAL } from './shared.ts'

/**
 * Hands over the next message: what is in flight already (a claim that was cut off, or a worker that died), else the head
 * of the urgent list, else the head of the inbox. It stays in flight until it is settled, released or put aside.
 * What a wait took while the agent was being paused goes back: nobody would see it where it is.
 *
 * A message with which too many workers died is not handed over: it stays in flight to be put aside by its digest.
 * What was delayed and is due goes to the head of the inbox, or behind what nobody has tried yet.
 *
 * `tt restart` sets the rounds to 0 and runs another worker for this agent. So does a Redis that lost data, which has lost what this
 * worker wrote last as well. Any other number is what somebody wrote back, and is gone on with.
 *
 * KEYS: lease, in-flight, urgent, inbox, agent record, stop flag, delayed, deaths, receipt
 * ARGV: token, agent id, rounds that were completed when this worker looked last, where what is due goes ('head' or 'tail'), how many
 *       deaths are too many, the receipt that this worker left last ('' = none)
 * Returns: {'lost'} | {'evicted'} | {'stopping'} | {'paused'} | {'empty', rounds, how many are delayed} | {'message', rounds, raw, digest}
 *        | {'poison', how many workers died with it, digest}
 *        | {'restarted'} (`tt restart` has started another worker for this agent) | {'forgotten'} (Redis lost data)
 */
export const claim = script(
  'claim',
  NOW,
  RECORD,
  MEND,
  DEATHS,
  REFUSAL,
  `
local lease, in_flight, urgent, inbox, stop = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
if redis.call('GET', lease) ~= ARGV[1] then return {'lost'} end
local agent = open(KEYS[5])
mend(agent, ARGV[2])
if not agent.there then return {'evicted'} end
if redis.call('EXISTS', stop) == 1 then return {'stopping'} end
local rounds = tonumber(get(agent, 'rounds_completed')) or 0
if rounds == 0 and tonumber(ARGV[3]) > 0 then
  local has_all = ARGV[6] == '' or redis.call('GET', KEYS[9]) == ARGV[6]
  return {has_all and 'restarted' or 'forgotten'}
end
local state = get(agent, 'state')
if state == 'draining' then return {'stopping'} end
if state == 'paused' then
  while redis.call('LMOVE', in_flight, inbox, 'RIGHT', 'LEFT') do end
  return {'paused'}
end
local _, now_ms = now()
local due = redis.call('ZRANGEBYSCORE', KEYS[7], '-inf', now_ms, 'LIMIT', 0, 100)
local tail = ARGV[4] == 'tail'
local refused = #due > 0 and refusal({inbox, 'list', 'LPUSH', 'RPUSH'}, {KEYS[7], 'zset', 'ZREM'})
if refused then return refused end
for i = 1, #due do
  local message = tail and due[i] or due[#due + 1 - i]
  redis.call('ZREM', KEYS[7], message)
  redis.call(tail and 'RPUSH' or 'LPUSH', inbox, message)
end
local raw = redis.call('LINDEX', in_flight, 0)
if not raw then raw = redis.call('LMOVE', urgent, in_flight, 'LEFT', 'RIGHT') end
if not raw then raw = redis.call('LMOVE', inbox, in_flight, 'LEFT', 'RIGHT') end
if not raw then return {'empty', tostring(rounds), tostring(redis.call('ZCARD', KEYS[7]))} end
local digest = redis.sha1hex(raw)
local deaths = deaths_of(KEYS[8], digest)
if deaths >= tonumber(ARGV[5]) then return {'poison', tostring(deaths), digest} end
return {'message', tostring(rounds), raw, digest}`,
)
