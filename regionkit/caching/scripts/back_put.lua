-- ARGV[6] run of the server, [7] id, [8] digest, [9] record from its kind to its key, [10] entry, [11] version expected or '',
-- [12] '' or, of a put that is asked again, the last <epoch>-<number> known before it, [13] version of the row as the caller has read
-- it, or '', [14] the stamp that LOAD told it before, [15] most keys, [16] most bytes, [17] 'l' in log mode, else '', [18] '', or 'r': only
-- reserve a version, or the version that was reserved, [19] the stamp that was told with it
-- Answers {answer, version (of open: the epoch), stamp}
local id, digest, expected, since = ARGV[7], ARGV[8], ARGV[11], ARGV[12]
local reserved = #ARGV[18] > 1 and ARGV[18]
local name = string.sub(KEYS[4], #base + 4)
-- the stamp, and whether there is room for more: taken first, as has_room() asks first. Another generation counts from 0
local stamp = redis.pcall('HINCRBY', account, 'q', 1)
local room = type(stamp) == 'number'
begin()
local good, old = opened(ARGV[6], name)
local logs = ARGV[17] == 'l'
if not good or meta.m ~= ARGV[17] then return {'open', tonumber(meta.e or 0), ''} end
local value = meta.p > 0 and redis.call('HGET', parked, name)
local aside = set_aside(value)

-- an id of the stream as two numbers
local function parts(of)
  local epoch, number = string.match(of, '^(%d+)-(%d+)$')
  return tonumber(epoch), tonumber(number)
end

-- what became of this put: its version, nil where it was not done, false where nobody knows
local function first_answer()
  for _, record in ipairs({old or '', aside or ''}) do
    if string.sub(record, 20, 35) == id then return version_of(record) end
  end
  local epoch, number = parts(since)
  for _, one in ipairs(redis.call('XRANGE', puts, digits(epoch, 1) .. '-' .. digits(number + 1, 1), '+')) do
    if one[2][2] == id then
      return one[2][4]
    end
  end
  local oldest = redis.call('XRANGE', puts, '-', '+', 'COUNT', 1)[1]
  if not oldest or epoch ~= tonumber(meta.e) then return false end
  local of, at = parts(oldest[1])
  if of == epoch and at > number then return false end
  return nil
end

local function present()
  if old or aside then return version_of(old or aside) end
  local entry = standing(KEYS[4], '')
  local kind = entry and string.sub(entry, 52, 52)
  if kind == '2' then return string.sub(entry, 60, 78) end
  local negative = entry and tonumber(string.sub(entry, 79, 79)) % 2 == 1
  if kind == '0' and negative then return string.rep('0', 19) end
  if ARGV[13] == '' or tonumber(ARGV[14]) < tonumber(redis.call('HGET', account, 'd')) then return false end
  local _, own, common = of_key(digest)  -- nothing was told of the key since it was read
  local told = (own and string.sub(own, 1, 16) > ARGV[14]) or (common and string.sub(common, 1, 16) > ARGV[14])
  return not told and ARGV[13]
end

-- whether the key has had a later version than the one reserved, or that is not known
local function overtaken()
  if tonumber(string.sub(reserved, 1, 6)) ~= tonumber(meta.e) then return true end
  if tonumber(ARGV[19]) < tonumber(redis.call('HGET', account, 'd')) then return true end
  local issued = string.format('%06.0f%013.0f', meta.e, meta.n)
  local _, own, common = of_key(digest)
  local versions = {old and '2' .. version_of(old) or '', aside and '2' .. version_of(aside) or ''}
  for _, kept in ipairs({string.sub(own or '', 17), string.sub(common or '', 17), redis.call('GETRANGE', KEYS[4], 51, 77)}) do
    versions[#versions + 1] = string.sub(kept, 1, 1) .. string.sub(kept, 9)
  end
  for _, version in ipairs(versions) do
    local kind, number = string.sub(version, 1, 1), string.sub(version, 2)
    if (kind == '2' or kind == '8') and number >= reserved and number <= issued then return true end
  end
  return false
end

if not reserved and since ~= '' then
  local version = first_answer()
  if version then return {'seen', version, ''} end
  if version == false then return {'forgotten', '', ''} end
end
if expected ~= '' then
  local version = present()
  if not version then return {'load', '', digits(redis.call('HGET', account, 'q'), 16)} end
  if version ~= expected then return {'conflict', version, ''} end
end
if reserved and overtaken() then return {'overtaken', '', ''} end
local size = 48 + #ARGV[9] + #ARGV[10]
local grows = size - (old and #old or 0)
local fits = old or redis.call('HLEN', dirty) - 1 + (meta.p > 0 and redis.call('HLEN', parked) or 0) < tonumber(ARGV[15])
if logs then
  fits = redis.call('XLEN', log) + (meta.p > 0 and redis.call('HLEN', parked) or 0) < tonumber(ARGV[15])
end
local more = grows + (logs and size or 0)
fits = room and fits and (more <= 0 or meta.b + meta.p + meta.g + more <= tonumber(ARGV[16]))
local number = digits(meta.n + 1, 1)
local version = reserved or string.format('%06.0f%013.0f', meta.e, number)
if not fits or ARGV[18] == 'r' then
  if not reserved then redis.call('HSET', back, 'n', number) end
  return {fits and 'reserved' or 'full', version, digits(redis.call('HGET', account, 'q'), 16)}
end

redis.call('DEL', KEYS[4], KEYS[5])
redis.call('HSET', back, 'n', number, 'b', digits(meta.b + grows, 1))
local at = digits(clock, 13)
local record = record_of(version, id, at, ARGV[9], ARGV[10])
redis.call('HSET', dirty, name, record)
if logs then
  redis.call('XADD', log, entry_id(version), 'n', name, 'r', record)
  redis.call('HSET', back, 'g', digits(meta.g + size, 1))
end
if old then
  redis.call('HDEL', tries, name)
else
  redis.call('ZADD', due, at, name)
  redis.call('ZADD', ages, value and string.sub(value, 1, 13) or at, name)
end
redis.call('XADD', puts, 'MAXLEN', '~', 10000, meta.e .. '-' .. number, 'i', id, 'v', version)
stamp = now == ARGV[1] and next_stamp() or digits(stamp, 16)
tell('k', digest, stamp)
return {'done', version, stamp}
