-- The account of one cache at a server. Stands before each of the other scripts; the rules are in ledger.py.
--
-- KEYS[1] account, a hash     KEYS[2] ends, a sorted set of the account's fields by the time at which they go
-- KEYS[3] news, a stream      KEYS[4], KEYS[5] value and lease of a key; then those of the next key
-- ARGV[1] 8 bytes: the generation to open if there is none     ARGV[2] milliseconds that a floor lives
-- ARGV[3] milliseconds that a tag's floor lives                 ARGV[4] most floors
-- ARGV[5] 1, 3: intents over their time are settled by the caller; else they are forgotten. 2, 3: the cache has a write-back buffer
--
-- The hash has g (generation), q (last stamp), n (last number of the news), c (the account's clock, ms), w (the machine's clock
-- when c was set), o (until when only loads from the owner are stored), d (the last stamp of a key's floor that is no more),
-- r (the run of the server), s (there is a cache that settles intents), and
--   f<digest>  floor of a key: stamp(16) version(27)      t<digest>  floor of a tag; t* of the cache itself
--   i<digest>  intents of a key: id(16) stamp(16) until(13), one after the other
-- A lease is token(16) stamp(16) until(13) waited-for(1) owner only(1) floor(27) generation(8).
-- Beside it stand, for as long as they count, <account>:d:<id> of a row that this region was told of by its writer, and
-- <account>:w:<id> of one whose writer may yet tell it: where they are lost a row is told once more.
--
-- It is lost whole or not at all, and with it the set of ends, which is never empty: whoever finds one of them gone opens a new
-- generation, and misses nothing.
--
-- The clock c goes on by what the machine's has gone on since the last step, at least 0 and at most a second: a clock that is
-- set neither ends floors and intents early nor keeps them for an hour.

-- At the limit of its memory a server refuses what takes more, unless a script has deleted something before. So the account is
-- kept there too, by some bytes beyond the limit: what is told is told. Values are not stored: a script that stores one asks
-- has_room() before all else. Whatever fails, each script deletes first what it deletes.

local account, ends, news = KEYS[1], KEYS[2], KEYS[3]
local floor_life, tag_life, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local settles, buffers = ARGV[5] == '1' or ARGV[5] == '3', ARGV[5] >= '2'
local NOTHING = string.rep('0', 27)
local clock, wall = 0, 0
-- as they stand: g, o, s and r are read once a script, and set together with the account. raised: there may be too many floors now
local now, owner_until, settling, server_run, raised = '', 0, false, '', false

-- of a whole number; in two halves, which fit an integer everywhere, as a format of floating point takes twice as long
local HALVES = {[13] = '%06d%07d', [16] = '%09d%07d'}
local function digits(number, width)
  if not HALVES[width] then return string.format('%0' .. width .. '.0f', number) end
  local high = math.floor(number / 1e7)
  return string.format(HALVES[width], high, number - high * 1e7)
end

-- kind: k a key, e a key that is to be loaded anew, f a load that ended, t a tag, c everything
local function tell(kind, of, stamp)
  local number = redis.call('HINCRBY', account, 'n', 1)
  redis.call('XADD', news, 'MAXLEN', '~', 10000, '*', 'g', now, 'n', number, 'k', kind, 'd', of, 's', stamp or '')
end

-- a later generation has a later clock: answers that overtake each other are told apart by it
local function open_generation(id, run)
  clock, now = clock + 1, id
  owner_until = clock + floor_life
  redis.call('DEL', account, ends)
  redis.call('HSET', account, 'g', id, 'q', 0, 'n', 0, 'c', digits(clock, 13), 'w', digits(wall, 13),
    'o', digits(owner_until, 13), 'd', 0, 'r', run)
  redis.call('ZADD', ends, '+inf', '!')
  tell('c', '')
end

-- a floor goes: a write that began before it was raised cannot be told from a later one by it any more
local function forget(field)
  if string.sub(field, 1, 1) == 'f' then
    local stamp = tonumber(string.sub(redis.call('HGET', account, field) or '0', 1, 16))
    if stamp > tonumber(redis.call('HGET', account, 'd')) then redis.call('HSET', account, 'd', digits(stamp, 16)) end
  end
  redis.call('HDEL', account, field)
  redis.call('ZREM', ends, field)
end

local function has_room()
  local answer = redis.pcall('HINCRBY', account, 'n', 0)
  return type(answer) == 'number'
end

local function begin()
  redis.call('HDEL', account, '')
  local at = redis.call('TIME')
  wall = at[1] * 1000 + math.floor(at[2] / 1000)
  local known = redis.call('HMGET', account, 'c', 'w', 'g', 'o', 's', 'r')
  local gone = 0
  if known[2] then gone = math.max(0, math.min(1000, wall - tonumber(known[2]))) end
  clock = tonumber(known[1] or wall) + gone
  now, owner_until, settling, server_run = known[3], tonumber(known[4]), known[5], known[6]
  local first = redis.call('ZRANGE', ends, 0, 0, 'WITHSCORES')
  if not now or not first[1] then
    open_generation(ARGV[1], '')
    settling, server_run = false, ''
  end
  if wall ~= tonumber(known[2]) then redis.call('HSET', account, 'c', digits(clock, 13), 'w', digits(wall, 13)) end
  if first[1] and first[1] ~= '!' and tonumber(first[2]) <= clock then
    for _, field in ipairs(redis.call('ZRANGEBYSCORE', ends, '-inf', clock, 'LIMIT', 0, 8)) do
      forget(field)
    end
  end
end

local function generation() return now end
local function next_stamp() return digits(redis.call('HINCRBY', account, 'q', 1), 16) end
local function keep(field, text, life)
  redis.call('HSET', account, field, text)
  redis.call('ZADD', ends, clock + life, field)
end

-- what a floor that stands there becomes
local function later_of(before, version)
  if version == '' then version = NOTHING end
  if before then
    local old = string.sub(before, 17, 43)
    local kind = string.sub(old, 1, 1)
    if version == NOTHING or kind == '9' or (kind == string.sub(version, 1, 1) and old > version) then return old end
  end
  return version
end

local function raise(field, version, life)
  raised = true
  local before = redis.call('HGET', account, field)
  local stamp = next_stamp()
  keep(field, stamp .. later_of(before, version), life)
  return stamp
end

-- the cache is another from here on: what was stored before is not served any more
local function open_next(version)
  raise('t*', version, tag_life)
  clock, now = clock + 1, ARGV[1]
  redis.call('HSET', account, 'g', now, 'c', digits(clock, 13))
  tell('c', '')
end

-- after a step that has raised floors: one that is too many goes, and what it kept out is kept out by more than it
local function trim()
  if not raised then return end
  for _ = 1, 4 + (#KEYS - 3) / 2 do
    if redis.call('ZCARD', ends) <= most + 2 then return end
    local oldest = redis.call('ZRANGE', ends, 0, 0, 'WITHSCORES')
    local field, till = oldest[1], tonumber(oldest[2])
    local floor = redis.call('HGET', account, field)
    local kind = string.sub(field, 1, 1)
    if kind == 'i' or field == 't*' then  -- not to be forgotten
      keep(field, floor or '', math.max(tag_life, floor_life))
    else
      forget(field)
      if kind == 't' then
        open_next(string.sub(floor or '', 17, 43))
      elseif till > owner_until then
        owner_until = till
        redis.call('HSET', account, 'o', digits(till, 13))
      end
    end
  end
end

-- rule 2 of the ledger; a floor of kind 8 is of a row's version that a flusher may yet write: loads from the owner reach it by
-- their version, too (back/rules.py, rule 10)
local function reaches(floor, version, owner)
  if string.sub(floor, 1, 1) == '8' then
    return string.sub(version, 1, 1) == '2' and string.sub(version, 2) >= string.sub(floor, 2)
  end
  return owner or floor == NOTHING or (string.sub(floor, 1, 1) == string.sub(version, 1, 1) and version >= floor)
end

-- what is kept of a key: its intents, its floor, and the floor of all keys
local function of_key(digest)
  return unpack(redis.call('HMGET', account, 'i' .. digest, 'f' .. digest, 't*'))
end

local function is_above(floor, stamp, version, owner)
  if not floor then return true end
  return stamp > string.sub(floor, 1, 16) and reaches(string.sub(floor, 17, 43), version, owner)
end

local function is_above_all(own, common, stamp, version, owner, tags)
  if not (is_above(own, stamp, version, owner) and is_above(common, stamp, version, owner)) then return false end
  for at = 1, #tags, 16 do
    local floor = redis.call('HGET', account, 't' .. string.sub(tags, at, at + 15))
    if not is_above(floor, stamp, version, owner) then return false end
  end
  return true
end

local function version_floor(own, common)
  local a, b = own and string.sub(own, 17, 43) or NOTHING, common and string.sub(common, 17, 43) or NOTHING
  return a > b and a or b
end

-- the intents of a key but for one id, and that one: text, intent or nil
local function without(text, id)
  local left, own = {}, nil
  for at = 1, #text, 45 do
    local one = string.sub(text, at, at + 44)
    if string.sub(one, 1, 16) == id then own = one else left[#left + 1] = one end
  end
  return table.concat(left), own
end

local function set_intents(digest, text)
  if text ~= '' then return keep('i' .. digest, text, tag_life) end
  redis.call('HDEL', account, 'i' .. digest)
  redis.call('ZREM', ends, 'i' .. digest)
end

-- an entry in which times stand from its making on, and neither generation nor stamp. text: it ends with the entry, which is all
-- behind `before`
local function stamped(text, stamp, before)
  local from = before or 0
  local function at(place) return digits(clock + tonumber(string.sub(text, from + place, from + place + 12)), 13) end
  return string.sub(text, from + 1, from + 27) .. generation() .. stamp .. string.sub(text, from + 52, from + 79) .. at(80) .. at(93)
    .. digits(clock, 13) .. string.sub(text, from + 119)
end

local function tags_of(entry)
  return string.sub(entry, 121, 120 + 16 * tonumber(string.sub(entry, 119, 120)))
end

-- what a write-back buffer has of the key whose value stands there: the dirty record, else the one set aside, else nothing
local function buffered(value)
  local base = string.sub(account, 1, -9)
  local name = string.sub(value, #base + 4)
  local record = redis.call('HGET', base .. ':dirty', name)
  if record then return record end
  local aside = redis.call('HGET', base .. ':parked', name)
  return aside and string.sub(aside, 18 + tonumber(string.sub(aside, 14, 17)))
end

-- the entry that stands there, of the present generation and above the floors of its tags. rejected: head of one that will not do
local function standing(value, rejected)
  local head = redis.call('GETRANGE', value, 0, 119)
  if #head < 120 or string.sub(head, 1, 118) == rejected or string.sub(head, 28, 35) ~= generation() then return nil end
  local entry = redis.call('GET', value)
  for at = 1, #tags_of(entry), 16 do
    local floor = redis.call('HGET', account, 't' .. string.sub(tags_of(entry), at, at + 15))
    if floor and string.sub(entry, 36, 51) <= string.sub(floor, 1, 16) then return nil end
  end
  return entry
end

-- the row of an intent was told by its writer: whoever tails need not tell it
local function done(id)
  if id and id ~= '' then redis.call('SET', account .. ':d:' .. id, 1, 'PX', floor_life) end
end

local function each_key(act)
  for number = 0, (#KEYS - 3) / 2 - 1 do act(number, KEYS[4 + 2 * number], KEYS[5 + 2 * number]) end
end
