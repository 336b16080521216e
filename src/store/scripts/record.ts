/** Fields that are no text in a JSON record: numbers, a switch, a list. A hash holds the same as texts. */
const TYPED = [
  ...['tasks_completed', 'rounds_completed', 'pid', 'attempts', 'exit_code', 'input_tokens'],
  ...['cached_input_tokens', 'output_tokens', 'cost_usd', 'queue_ms', 'duration_ms', 'tool_calls'],
  ...['result_truncated', 'tags'],
]

/**
 * An agent or a task in either of its forms: a hash, as Tinytown 0.10 stores it, or a JSON string, as its guide documents it.
 * A record stays in the form in which it was found.
 *
 * open(key, form of a new one) -> record: `there` (it has an id), `broken` (the type of a key that is no record)
 * get(record, field) -> text or nil
 * put(record, field, text, field, text …), drop(record, field …), add(record, field, number) -> number
 * save(record): writes what changed; a hash is written at once
 * dump(record) -> {field, text, field, text …}
 */
export const RECORD = `
local typed = {${TYPED.map((field) => `${field} = true`).join(', ')}}

local function open(key, form)
  local kind = redis.call('TYPE', key).ok
  local record = {key = key, form = kind == 'none' and (form or 'hash') or kind, fields = {}}
  if kind == 'hash' then
    record.there = redis.call('HEXISTS', key, 'id') == 1
  elseif kind == 'string' then
    local readable, fields = pcall(cjson.decode, redis.call('GET', key))
    if readable and type(fields) == 'table' then
      record.form, record.fields, record.there = 'json', fields, type(fields.id) == 'string'
    else
      record.broken = 'text that is no JSON object'
    end
  elseif kind ~= 'none' then
    record.broken = kind
  end
  return record
end

local function text_of(value)
  if value == nil or value == cjson.null then return nil end
  if type(value) ~= 'table' then return tostring(value) end
  return next(value) == nil and '[]' or cjson.encode(value)
end

local function get(record, field)
  if record.form == 'hash' then return redis.call('HGET', record.key, field) or nil end
  return text_of(record.fields[field])
end

local function put(record, ...)
  local pairs_given = {...}
  if record.form == 'hash' then return redis.call('HSET', record.key, ...) end
  record.changed = true
  for i = 1, #pairs_given, 2 do
    local field, value = pairs_given[i], tostring(pairs_given[i + 1])
    local readable, content = pcall(cjson.decode, value)
    if typed[field] and readable then
      record.fields[field] = content
    else
      -- Times of a JSON record end in Z, those of a hash in +00:00 (Tinytown, migration.rs).
      if string.find(field, '_at$') or field == 'last_heartbeat' then value = string.gsub(value, '%+00:00$', 'Z') end
      record.fields[field] = value
    end
  end
end

local function drop(record, ...)
  if record.form == 'hash' then return redis.call('HDEL', record.key, ...) end
  record.changed = true
  for _, field in ipairs({...}) do record.fields[field] = nil end
end

local function add(record, field, by)
  if record.form == 'hash' then return redis.call('HINCRBY', record.key, field, by) end
  local sum = (tonumber(get(record, field)) or 0) + by
  put(record, field, sum)
  return sum
end

local function save(record)
  if record.form ~= 'json' or not record.changed then return end
  -- An empty list comes out of cjson as an empty object; a quotation mark inside a text would stand behind a backslash.
  redis.call('SET', record.key, (string.gsub(cjson.encode(record.fields), '"tags":{}', '"tags":[]')), 'KEEPTTL')
end

local function dump(record)
  if record.form == 'hash' then return redis.call('HGETALL', record.key) end
  local flat = {}
  for field, value in pairs(record.fields) do
    local text = text_of(value)
    if text then
      flat[#flat + 1] = field
      flat[#flat + 1] = text
    end
  end
  return flat
end`
