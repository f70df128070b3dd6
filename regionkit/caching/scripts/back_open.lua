-- ARGV[6] run of the server, [7] epoch, a higher one than the buffer's, [8] 'l' in log mode, else ''. Answers {1 where the buffer is
-- open now, its epoch}; {-1, its epoch} where it is in the other mode and not empty.
-- Where a part of the buffer was lost, what stands is counted anew, and each record is due.
begin()
local good = opened(ARGV[6], '')
local logs, entries = ARGV[8] == 'l', redis.call('XLEN', log)
if (meta.m == 'l' or entries > 0) ~= logs then
  local stand = redis.call('HLEN', dirty) - redis.call('HEXISTS', dirty, '') + redis.call('HLEN', parked) + entries
  if stand > 0 then return {-1, tonumber(meta.e or 0)} end
  if not logs then redis.call('DEL', log) end
  good = false
end
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
-- of a log the last entry of each key is its record
if logs and not whole then
  for one in each_entry('+') do redis.call('HSET', dirty, one[2][2], one[2][4]) end
end
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
if logs then
  if redis.call('XLEN', log) == 0 then
    redis.call('DEL', log)
    local stand = {}
    local all = redis.call('HGETALL', dirty)
    for at = 1, #all, 2 do
      if all[at] ~= '' then stand[#stand + 1] = {version_of(all[at + 1]), all[at], all[at + 1]} end
    end
    table.sort(stand, function(one, other) return one[1] < other[1] end)
    for _, one in ipairs(stand) do redis.call('XADD', log, entry_id(one[1]), 'n', one[2], 'r', one[3]) end
    if not stand[1] then redis.call('XDEL', log, redis.call('XADD', log, ARGV[7] .. '-0', 'n', '')) end
  end
  local size = 0
  for one in each_entry('+') do size = size + #one[2][4] end
  redis.call('HSET', back, 'g', size)
end
redis.call('HDEL', back, 'l', 'u')
redis.call('HSET', back, 'e', ARGV[7], 'r', ARGV[6], 'n', 0, 'm', ARGV[8])
redis.call('HSETNX', back, 'f', digits(clock, 13))
redis.call('HSET', dirty, '', ARGV[7])
if type(redis.pcall('XADD', puts, ARGV[7] .. '-0', 'i', '')) == 'table' then
  redis.call('DEL', puts)
  redis.call('XADD', puts, ARGV[7] .. '-0', 'i', '')
end
trim()
return {1, tonumber(ARGV[7])}
