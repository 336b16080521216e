import { script } from '../script.ts'
import { RECORD } from './record.ts'

/**
 * Hands over the next message: what is in flight already (a claim that was cut off, or a worker that died), else the head
 * of the urgent list, else the head of the inbox. It stays in flight until it is settled, released or put aside.
 *
 * KEYS: lease, in-flight, urgent, inbox, agent record, stop flag
 * ARGV: token
 * Returns: {'lost'} | {'evicted'} | {'stopping'} | {'paused'} | {'empty'} | {'message', raw, digest}
 */
export const claim = script(
  'claim',
  RECORD,
  `
local lease, in_flight, urgent, inbox, stop = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[6]
if redis.call('GET', lease) ~= ARGV[1] then return {'lost'} end
local agent = open(KEYS[5])
if not agent.there then return {'evicted'} end
if redis.call('EXISTS', stop) == 1 then return {'stopping'} end
local state = get(agent, 'state')
if state == 'draining' then return {'stopping'} end
if state == 'paused' then return {'paused'} end
local raw = redis.call('LINDEX', in_flight, 0)
if not raw then raw = redis.call('LMOVE', urgent, in_flight, 'LEFT', 'RIGHT') end
if not raw then raw = redis.call('LMOVE', inbox, in_flight, 'LEFT', 'RIGHT') end
if not raw then return {'empty'} end
return {'message', raw, redis.sha1hex(raw)}`,
)
