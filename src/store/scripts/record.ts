/** Fields that are no text in a JSON record: numbers, a switch, a list. A hash holds the same as texts. */
const TYPED = [
  ...['tasks_completed', 'rounds_completed', 'pid', 'attempts', 'exit_code', 'input_tokens'],
  ...['cached_input_tokens', 'output_tokens', 'cost_usd', 'queue_ms', 'duration_ms', 'tool_calls'],
  ...['result_truncated', 'tags'],
]

/**
 * An agent or a task in either of its forms: a hash, as Tinytown 0.10 stores it, or a JSON string, as its guide documents it.
 * A record stays in the form in which it was found. The members of a JSON record that are not written stay as they stand, in
 * their order: what cjson reads and writes again has lost digits of long numbers and the lists that are empty.
 *
 * open(key, form of a new one) -> record: `there` (it has an id), `broken` (the type of a key that is no record)
 * get(record, field) -> text or nil
 * put(record, field, text, field, text …), drop(record, field …)
 * add(record, field, number) -> number: what is no number counts as 0
 * save(record): writes what changed; a hash is written at once
 * dump(record) -> {field, text, field, text …}
 */
export const RECORD = `
local typed = {${TYPED.map((field) => `${field} = true`).join(', ')}}

-- Where a JSON text that begins at from ends; the whole text was read by cjson before, so it is well-formed.
local function json_end(text, from)
  local first = string.sub(text, from, from)
  if first ~= '"' and first ~= '{' and first ~= '[' then return (string.find(text, '[%s,}%]]', from) or #text + 1) - 1 end
  local depth, at = 0, from
  while true do
    at = string.find(text, '["{}%[%]]', at)
    local mark = string.sub(text, at, at)
    if mark == '"' then
      at = string.find(text, '["\\\\]', at + 1)
      while string.sub(text, at, at) ~= '"' do at = string.find(text, '["\\\\]', at + 2) end
    else
      depth = depth + ((mark == '{' or mark == '[') and 1 or -1)
    end
    if depth == 0 then return at end
    at = at + 1
  end
end

-- The members of a JSON object: their names in order, and the JSON text of each.
local function members(text)
  local names, raw = {}, {}
  local at = string.find(text, '["}]')
  while at and string.sub(text, at, at) == '"' do
    local name_end = json_end(text, at)
    local name = cjson.decode('[' .. string.sub(text, at, name_end) .. ']')[1]
    local from = string.find(text, '[^%s:]', name_end + 1)
    local to = json_end(text, from)
    if raw[name] == nil then names[#names + 1] = name end
    raw[name] = string.sub(text, from, to)
    at = string.find(text, '["}]', to + 1)
  end
  return names, raw
end

local function open(key, form)
  local kind = redis.call('TYPE', key).ok
  local record = {key = key, form = kind == 'none' and (form or 'hash') or kind, names = {}, raw = {}}
  if kind == 'hash' then
    record.there = redis.call('HEXISTS', key, 'id') == 1
  elseif kind == 'string' then
    local text = redis.call('GET', key)
    if pcall(cjson.decode, text) and string.find(text, '^%s*{') then
      record.form = 'json'
      record.names, record.raw = members(text)
      record.there = string.sub(record.raw.id or '', 1, 1) == '"'
    else
      record.broken = 'text that is no JSON object'
    end
  elseif kind ~= 'none' then
    record.broken = kind
  end
  return record
end

local function text_of(raw)
  if raw == nil or raw == 'null' then return nil end
  return string.sub(raw, 1, 1) == '"' and cjson.decode('[' .. raw .. ']')[1] or raw
end

local function get(record, field)
  if record.form == 'hash' then return redis.call('HGET', record.key, field) or nil end
  return text_of(record.raw[field])
end

local function put(record, ...)
  local pairs_given = {...}
  if record.form == 'hash' then return redis.call('HSET', record.key, ...) end
  record.changed = true
  for i = 1, #pairs_given, 2 do
    local field, value = pairs_given[i], tostring(pairs_given[i + 1])
    if record.raw[field] == nil then record.names[#record.names + 1] = field end
    if typed[field] and pcall(cjson.decode, '[' .. value .. ']') then
      record.raw[field] = value
    else
      -- Times of a JSON record end in Z, those of a hash in +00:00 (Tinytown, migration.rs).
      if string.find(field, '_at$') or field == 'last_heartbeat' then value = string.gsub(value, '%+00:00$', 'Z') end
      record.raw[field] = cjson.encode(value)
    end
  end
end

local function drop(record, ...)
  if record.form == 'hash' then return redis.call('HDEL', record.key, ...) end
  record.changed = true
  for _, field in ipairs({...}) do
    record.raw[field] = nil
    for i = #record.names, 1, -1 do
      if record.names[i] == field then table.remove(record.names, i) end
    end
  end
end

local function add(record, field, by)
  local sum = (tonumber(get(record, field)) or 0) + by
  -- Of a number without an end nothing can be counted.
  if sum ~= sum or math.abs(sum) == math.huge then sum = by end
  put(record, field, string.format('%.0f', sum))
  return sum
end

local function save(record)
  if record.form ~= 'json' or not record.changed then return end
  local parts = {}
  for i, name in ipairs(record.names) do parts[i] = cjson.encode(name) .. ':' .. record.raw[name] end
  redis.call('SET', record.key, '{' .. table.concat(parts, ',') .. '}', 'KEEPTTL')
end

local function dump(record)
  if record.form == 'hash' then return redis.call('HGETALL', record.key) end
  local flat = {}
  for _, field in ipairs(record.names) do
    local text = text_of(record.raw[field])
    if text then
      flat[#flat + 1] = field
      flat[#flat + 1] = text
    end
  end
  return flat
end`
