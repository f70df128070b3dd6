-- ARGV[6] run of the server, [7] epoch, a higher one than the buffer's. Answers {1 where the buffer is open now, its epoch}
-- Where a part of the buffer was lost, what stands is counted anew, and each record is due.
begin()
local good = opened(ARGV[6], '')
local keys = redis.call('HLEN', dirty)
good = good and redis.call('ZCARD', due) == keys - 1 and redis.call('ZCARD', ages) == keys - 1
if server_run == '' then
  redis.call('HSET', account, 'r', ARGV[6])
  server_run = ARGV[6]
end
local before = redis.call('HGET', dirty, '')
local newest = math.max(tonumber(meta.e or 0), tonumber(before or 0))
if tonumber(ARGV[7]) <= newest or server_run ~= ARGV[6] then return {good and 1 or 0, newest} end

local whole = meta.e and before == meta.e and redis.call('ZCARD', due) == keys - 1 and redis.call('ZCARD', ages) == keys - 1
  and (meta.p > 0) == (redis.call('HLEN', parked) > 0)
if not whole then
  redis.call('HDEL', dirty, '')
  redis.call('DEL', tries)
  local b, p = 0, 0
  local names = redis.call('HKEYS', dirty)
  for _, set in ipairs({due, ages}) do
    for _, name in ipairs(redis.call('ZRANGE', set, 0, -1)) do
      if redis.call('HEXISTS', dirty, name) == 0 then redis.call('ZREM', set, name) end
    end
  end
  for _, name in ipairs(names) do
    local record = redis.call('HGET', dirty, name)
    b = b + #record
    redis.call('ZADD', due, clock, name)
    redis.call('ZADD', ages, 'NX', math.min(clock, tonumber(string.sub(record, 36, 48))), name)
  end
  for _, value in ipairs(redis.call('HVALS', parked)) do p = p + #value end
  redis.call('HSET', back, 'b', b, 'p', p)
end
-- what was loaded until now may miss what a flusher of an earlier epoch has written meanwhile: from now on none does
open_next('')
redis.call('HSET', back, 'e', ARGV[7], 'r', ARGV[6], 'n', 0)
redis.call('HSETNX', back, 'f', digits(clock, 13))
redis.call('HSET', dirty, '', ARGV[7])
if type(redis.pcall('XADD', puts, ARGV[7] .. '-0', 'i', '')) == 'table' then
  redis.call('DEL', puts)
  redis.call('XADD', puts, ARGV[7] .. '-0', 'i', '')
end
trim()
return {1, tonumber(ARGV[7])}
