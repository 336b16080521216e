import { TASK_STATES } from '../../domain/task.ts'

/** How long what belongs to an agent and has no other end is kept after the last use: thirty days. */
export const KEPT_SECONDS = 30 * 86_400

/**
 * now() -> RFC 3339 text, milliseconds since 1970. The clock is the server's, so that a worker with a wrong clock writes
 * right times. The date is computed from the day number (proleptic Gregorian calendar, era of 400 years).
 */
export const NOW = `
local function now()
  local t = redis.call('TIME')
  local s, us = tonumber(t[1]), tonumber(t[2])
  local floor = math.floor
  local z = floor(s / 86400) + 719468
  local rest = s % 86400
  local era = floor(z / 146097)
  local doe = z % 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local day = doy - floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00', year, month, day,
    floor(rest / 3600), floor(rest % 3600 / 60), rest % 60, us), s * 1000 + floor(us / 1000)
end`

/**
 * emit(town stream, agent stream or nil, fields): one event in both, in the form and with the caps of upstream. A key that is no
 * stream does not undo what the event tells of: a script that fails is not rolled back.
 */
export const EMIT = `
local function emit(town, agent, event)
  local data = cjson.encode(event)
  redis.pcall('XADD', town, 'MAXLEN', '~', '1000', '*', 'event_type', event.event_type, 'data', data)
  if agent then redis.pcall('XADD', agent, 'MAXLEN', '~', '100', '*', 'event_type', event.event_type, 'data', data) end
end`

/**
 * refusal({key, type ('' = any), command …} …) -> error or nil: why one of these writes could not be done. It is asked before the first of
 * them, as a script that fails in its middle is not rolled back: all of it or nothing.
 * changing(record) -> {key, '', command …}: what a put into a record needs; with 'HDEL' what a drop needs as well.
 */
export const REFUSAL = `
local function refusal(...)
  for _, write in ipairs({...}) do
    local key, kind = write[1], write[2]
    local found = kind == '' and 'none' or redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return redis.error_reply('WRONGTYPE The key ' .. key .. ' holds a ' .. found .. ', not a ' .. kind)
    end
    for i = 3, #write do
      if not redis.acl_check_cmd(write[i], key) then
        return redis.error_reply('NOPERM This user may not ' .. write[i] .. ' the key ' .. key)
      end
    end
  end
end
local function changing(record, ...)
  if record.form == 'json' then return {record.key, '', 'SET'} end
  return {record.key, '', 'HSET', ...}
end`

/**
 * find(list, digest) -> text or nil: a claimed message. It is named by the SHA-1 of its bytes: what a client read and sends back is
 * another text where the bytes are no UTF-8.
 * take(list, digest) -> text or nil: removes it.
 */
export const TAKE = `
local function find(list, digest)
  for _, raw in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if redis.sha1hex(raw) == digest then return raw end
  end
end
local function take(list, digest)
  local raw = find(list, digest)
  if raw then redis.call('LREM', list, 1, raw) end
  return raw
end`

/** How long the id of a message is remembered, and how many of them for each agent. */
export const REMEMBERED_MS = 86_400_000
export const MOST_REMEMBERED = 10_000

/**
 * is_handled(key, message id, now in ms) -> boolean, remember(key, message id, now in ms), forget(key, message id): the ids of
 * messages that were handled. An empty id is none. A key of another type costs the memory, never the write that it goes with.
 */
export const HANDLED = `
local function is_handled(key, id, now_ms)
  local at = id ~= '' and tonumber(redis.pcall('ZSCORE', key, id) or nil)
  return at and at > now_ms - ${REMEMBERED_MS}
end
local function remember(key, id, now_ms)
  if id == '' then return end
  redis.pcall('ZREMRANGEBYSCORE', key, '-inf', now_ms - ${REMEMBERED_MS})
  redis.pcall('ZADD', key, now_ms, id)
  redis.pcall('ZREMRANGEBYRANK', key, 0, -${MOST_REMEMBERED + 1})
  redis.pcall('PEXPIRE', key, ${REMEMBERED_MS})
end
local function forget(key, id)
  if id ~= '' then redis.pcall('ZREM', key, id) end
end`

/**
 * last_registration(key) -> count, who: how many times the agent was registered, and the token of the last one (`left:` and the
 * token once it left, `recovered:` and the token once a peer took it for dead). The count tells a server that read an old snapshot from one where another worker has registered.
 */
export const LAST_REGISTRATION = `
local function last_registration(key)
  local count, who = string.match(redis.call('GET', key) or '', '^(%d+) (.*)$')
  return tonumber(count) or 0, who
end`

/**
 * mend(agent, id): puts the id back into an agent record that has lost it alone: that one is damaged, not deleted. What a late
 * write leaves of a deleted one has no name either.
 */
export const MEND = `
local function mend(agent, id)
  if agent.there or agent.broken or not get(agent, 'name') then return end
  put(agent, 'id', id)
  agent.there = true
  save(agent)
end`

/**
 * deaths_of(deaths, digest) -> number: how many workers died with this message in hand. A key of another type costs the count, never
 * what it goes with.
 */
export const DEATHS = `
local function deaths_of(deaths, digest)
  return tonumber(redis.pcall('HGET', deaths, digest) or nil) or 0
end`

/**
 * blame(deaths, in-flight): a worker died, or ended without a goodbye: what it had in hand, the oldest in flight, has one more death to
 * answer for.
 */
export const BLAME = `${DEATHS}
local function blame(deaths, in_flight)
  local raw = redis.pcall('LINDEX', in_flight, 0)
  if type(raw) ~= 'string' then return end
  local digest = redis.sha1hex(raw)
  redis.pcall('HSET', deaths, digest, deaths_of(deaths, digest) + 1)
  redis.pcall('EXPIRE', deaths, ${KEPT_SECONDS})
end`

/** title(state): upstream writes the states of events with a capital. */
export const TITLE = `
local function title(word)
  return (string.gsub(word, '^%l', string.upper))
end`

/** How many dead letters are kept, and how much memory they take. */
const MOST_DEAD_LETTERS = 10_000
const DEAD_LETTER_BYTES = 64 * 1024 * 1024

/**
 * bury(dead letters, agent id, agent name, reason, detail, raw, task id or nil) -> id: puts a message that cannot be used, or whose
 * task failed for good, aside with its text. Of too many, or of too much, the oldest go; the newest stays whatever its size. A server
 * that does not tell the memory of a key bounds the number alone.
 */
export const BURY = `
local function bury(key, agent_id, agent, reason, detail, raw, task_id)
  local id = redis.call('XADD', key, 'MAXLEN', '~', '${MOST_DEAD_LETTERS}', '*', 'agent_id', agent_id, 'agent', agent,
    'reason', reason, 'detail', detail, 'message', raw, 'task_id', task_id or '', 'timestamp', (now()))
  local size = redis.pcall('MEMORY', 'USAGE', key, 'SAMPLES', '0')
  local excess = type(size) == 'number' and size - ${DEAD_LETTER_BYTES} or 0
  while excess > 0 do
    local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if not oldest or oldest[1] == id then break end
    redis.call('XDEL', key, oldest[1])
    for _, text in ipairs(oldest[2]) do excess = excess - #text end
  end
  return id
end`

/** task_state(task): the state of an open record by today's words; a word of nobody counts as pending, as upstream reads it. */
export const TASK_STATE = `
local function task_state(task)
  local word = get(task, 'state') or ''
  if word == 'in_flight' then return 'running' end
  return string.find(',${TASK_STATES.join(',')},', ',' .. word .. ',', 1, true) and word or 'pending'
end`

/** note_activity(key, text): the last ten lines of what an agent did, for an hour, as \`tt status --deep\` shows them. */
export const ACTIVITY = `
local function note_activity(key, text)
  redis.pcall('LPUSH', key, text)
  redis.pcall('LTRIM', key, 0, 9)
  redis.pcall('EXPIRE', key, 3600)
end`
