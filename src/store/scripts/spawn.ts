import { script } from '../script.ts'
import { RECORD } from './record.ts'
import { EMIT, NOW } from './shared.ts'

/**
 * Makes the record of an agent that no worker is there for yet, unless the name is taken.
 *
 * KEYS: agent record, names, town events, agent events
 * ARGV: agent id, name, cli, prefix of agent records, form of a new record ('hash' or 'json')
 * Returns: {'taken', agent id, state} | {'unreadable', what the key is} | {'ok'}
 */
export const spawn = script(
  'spawn',
  NOW,
  RECORD,
  EMIT,
  `
local id, name = ARGV[1], ARGV[2]
local owner = redis.call('HGET', KEYS[2], string.lower(name)) or id
local other = open(ARGV[4] .. owner)
if other.there then return {'taken', owner, get(other, 'state') or 'starting'} end
local agent = open(KEYS[1], ARGV[5])
if agent.there then return {'taken', id, get(agent, 'state') or 'starting'} end
if agent.broken then return {'unreadable', agent.broken} end
local at = now()
redis.call('HSET', KEYS[2], string.lower(name), id)
put(agent, 'id', id, 'name', name, 'agent_type', 'worker', 'state', 'starting', 'cli', ARGV[3], 'created_at', at,
  'last_heartbeat', at, 'last_active_at', at, 'tasks_completed', 0, 'rounds_completed', 0, 'spawn_mode', 'fresh')
save(agent)
emit(KEYS[3], KEYS[4], {event_type = 'agent_spawned', agent_id = id, new_state = 'Starting',
  message = name .. ' spawned for ' .. ARGV[3], timestamp = at})
return {'ok'}`,
)
