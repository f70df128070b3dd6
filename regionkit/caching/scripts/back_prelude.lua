
-- The write-back buffer of the cache. Stands between the prelude and each script back_*; the rules are in back/rules.py.
--
-- Beside the account, whatever generation it is of:
--   :dirty   hash, name -> record; field '' the epoch, so that a lost one is seen
--   :due     sorted set, name by the time (account's clock, ms) from which it may be claimed
--   :ages    sorted set, name by the time since when the row is behind
--   :tries   hash, name -> refusals of this value
--   :claims  sorted set, token of a claim by the time when it ends, which no two have in common; '-' and the token of one that was
--            ended, by the time until which it may come late
--   :parked  hash, name -> behind since(13) length of the reason(4) reason record
--   :back    hash: e epoch, r run of the server, n last number, b bytes dirty, p bytes parked, f until when a flusher is alive;
--            in log mode m 'l', g bytes of the log, l who has its lease, u until when
--   :puts    stream, one entry a put, its id <epoch>-<number>, i the put's id; an entry <epoch>-0 for each epoch
--   :log     stream, in log mode: one entry a put, its id <epoch>-<number>, n name, r record; the rules are in back/log_rules.py.
--            There :parked has version(19) name -> value, and :tries the version of an entry -> its failures
-- The name of a key is what stands behind ":v:" in its value's. A record is
--   version(19) put(16) time(13) kind(1) digest(16) kept(13) length of the key(8) key entry

local base = string.sub(account, 1, -9)
local dirty, due, ages, tries = base .. ':dirty', base .. ':due', base .. ':ages', base .. ':tries'
local parked, back, puts, log, claims = base .. ':parked', base .. ':back', base .. ':puts', base .. ':log', base .. ':claims'
local ROW = '20000000'  -- a row's version as entries and floors have it, before the 19 digits
local meta = {}  -- e, r, n, b, p, m, g as they stood when the script began

local function version_of(record) return string.sub(record, 1, 19) end
local function digest_of(record) return string.sub(record, 50, 65) end
local function before_entry(record) return 86 + tonumber(string.sub(record, 79, 86)) end
local function entry_of(record) return string.sub(record, 1 + before_entry(record)) end
local function set_aside(value) return value and string.sub(value, 18 + tonumber(string.sub(value, 14, 17))) end

-- a record without its entry: what is listed
local function head_of(record) return string.sub(record, 1, before_entry(record)) end

-- whether the log was dropped, or emptied while records stand there: an entry goes behind its record
local function log_is_lost()
  if redis.call('XLEN', log) > 0 then return false end
  return redis.call('EXISTS', log) == 0 or redis.call('HLEN', dirty) > 1
end

-- whether the buffer is of this run of the server, and whole; what it has of a name. Else the caller raises the epoch
local function opened(run, name)
  local known = redis.call('HMGET', back, 'e', 'r', 'b', 'p', 'n', 'm', 'g')
  meta = {e = known[1], r = known[2], b = tonumber(known[3] or 0), p = tonumber(known[4] or 0), n = tonumber(known[5] or 0)}
  meta.m, meta.g = known[6] or '', tonumber(known[7] or 0)
  if meta.m == 'l' and log_is_lost() then meta.r = false end
  local stands = redis.call('HMGET', dirty, '', name)
  return meta.e and stands[1] == meta.e and meta.r == run and server_run == run, stands[2]
end

-- whether a claim was ended, and comes late
local function was_ended(token) return redis.call('ZSCORE', claims, '-' .. token) end

-- when a claim ends: at a time of its own
local function time_of(token, lasts)
  local till = redis.call('ZSCORE', claims, token)
  if not till then
    redis.call('ZREMRANGEBYSCORE', claims, '-inf', clock)
    till = digits(math.max(clock + lasts, 1 + (redis.call('ZREVRANGE', claims, 0, 0, 'WITHSCORES')[2] or 0)), 13)
    redis.call('ZADD', claims, till, token)
  end
  return till
end

local function forget_dirty(name, record)
  redis.call('HDEL', dirty, name)
  redis.call('ZREM', due, name)
  redis.call('ZREM', ages, name)
  redis.call('HDEL', tries, name)
  redis.call('HINCRBY', back, 'b', -#record)
end

local function forget_parked(name, value)
  redis.call('HDEL', parked, name)
  redis.call('HINCRBY', back, 'p', -#value)
end

local function make_dirty(name, record, since)
  redis.call('HSET', dirty, name, record)
  redis.call('ZADD', due, clock, name)
  redis.call('ZADD', ages, since, name)
  redis.call('HINCRBY', back, 'b', #record)
end

-- an id of the log
local function entry_id(version) return digits(string.sub(version, 1, 6), 1) .. '-' .. digits(string.sub(version, 7), 1) end

-- the entries of the log up to an id, in order; a few at a time, and one where they are large
local function each_entry(till)
  local from, count, found, at = '-', 1, {}, 0
  return function()
    at = at + 1
    if not found[at] then
      found, at = redis.call('XRANGE', log, from, till, 'COUNT', count), 1
      local last = found[#found]
      if last then from, count = '(' .. last[1], #last[2][4] > 65536 and 1 or 8 end
    end
    return found[at]
  end
end

-- a record with another version and time
local function record_of(version, id, at, body, entry)
  return version .. id .. at .. body .. string.sub(entry, 1, 51) .. ROW .. version .. string.sub(entry, 79)
end
