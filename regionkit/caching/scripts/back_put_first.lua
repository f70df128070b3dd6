-- Stands before the preludes: a put of a value that nobody has asked about before, into a whole buffer with room and nothing parked,
-- not in log mode. It makes no functions, which take a server longer than all else here. What is not so plain breaks off before
-- anything is done, and goes on to the whole script. Commands and texts are those of back_put.lua, and of begin() in the prelude.
repeat
  local account, digest = KEYS[1], ARGV[8]
  if #KEYS ~= 5 or ARGV[11] ~= '' or ARGV[12] ~= '' or ARGV[17] ~= '' or ARGV[18] ~= '' then break end
  local base = string.sub(account, 1, -9)
  local back, dirty, name = base .. ':back', base .. ':dirty', string.sub(KEYS[4], #base + 4)
  local known = redis.call('HMGET', account, 'g', 'c', 'w', 'r')
  local meta = redis.call('HMGET', back, 'e', 'r', 'b', 'n', 'p', 'm', 'g')
  local epoch, text, gone = meta[1], known[2], 0
  if not known[1] or not epoch or known[4] ~= ARGV[6] or meta[2] ~= ARGV[6] or (meta[6] or '') ~= '' then break end
  if tonumber(meta[5] or 0) > 0 or tonumber(meta[7] or 0) > 0 then break end
  local stands = redis.call('HMGET', dirty, '', name)
  local old = stands[2]
  if stands[1] ~= epoch then break end
  local at = redis.call('TIME')
  local wall = at[1] * 1000 + math.floor(at[2] / 1000)
  local clock = tonumber(text)
  gone = wall - known[3]
  if gone ~= 0 then
    clock = clock + math.max(0, math.min(1000, gone))
    text = string.format('%013.0f', clock)
  end
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not first[1] or tonumber(first[2]) <= clock then break end
  local grows = 48 + #ARGV[9] + #ARGV[10] - (old and #old or 0)
  local bytes = (meta[3] or 0) + grows
  if grows > 0 and bytes > tonumber(ARGV[16]) then break end
  if not old and redis.call('HLEN', dirty) - 1 >= tonumber(ARGV[15]) then break end
  local stamp = redis.pcall('HINCRBY', account, 'q', 1)
  if type(stamp) ~= 'number' then break end  -- there is no room
  stamp = string.format('%016.0f', stamp)
  if gone ~= 0 then redis.call('HSET', account, 'c', text, 'w', string.format('%013.0f', wall)) end
  redis.call('DEL', KEYS[4], KEYS[5])
  local number = string.format('%01.0f', (meta[4] or 0) + 1)
  local version = string.format('%06.0f%013.0f', epoch, number)
  redis.call('HSET', back, 'n', number, 'b', string.format('%01.0f', bytes))
  local entry = ARGV[10]
  redis.call('HSET', dirty, name, version .. ARGV[7] .. text .. ARGV[9] .. string.sub(entry, 1, 51) .. '20000000' .. version
    .. string.sub(entry, 79))
  if old then
    redis.call('HDEL', base .. ':tries', name)
  else
    redis.call('ZADD', base .. ':due', text, name)
    redis.call('ZADD', base .. ':ages', text, name)
  end
  redis.call('XADD', base .. ':puts', 'MAXLEN', '~', 10000, epoch .. '-' .. number, 'i', ARGV[7], 'v', version)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'g', known[1], 'n', redis.call('HINCRBY', account, 'n', 1), 'k', 'k',
    'd', digest, 's', stamp)
  do return {'done', version, stamp} end
until true

