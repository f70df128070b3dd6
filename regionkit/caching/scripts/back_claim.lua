-- ARGV[6] run of the server, [7] most records, [8] most bytes, [9] milliseconds that a claim lasts, [10] that the flusher is alive,
-- [11] token of the claim; several steps may have one
-- Answers {opened, epoch, clock}, then name, record and tries of each
local TOGETHER = 10
begin()
local good = opened(ARGV[6], '')
local keys = redis.call('HLEN', dirty) - 1
if not good or meta.m ~= '' or redis.call('ZCARD', due) ~= keys or redis.call('ZCARD', ages) ~= keys then
  return {0, tonumber(meta.e or 0), clock}
end
redis.call('HSET', back, 'f', digits(clock + tonumber(ARGV[10]), 13))
local out, bytes, claimed, later = {1, tonumber(meta.e), clock}, 0, {}, {}
if was_ended(ARGV[11]) then return out end
local names = redis.call('ZRANGEBYSCORE', due, '-inf', clock, 'LIMIT', 0, ARGV[7])
if not names[1] then return out end
local till = time_of(ARGV[11], tonumber(ARGV[9]))
for from = 1, #names, TOGETHER do  -- no more than these are read and not sent
  local records = redis.call('HMGET', dirty, unpack(names, from, math.min(#names, from + TOGETHER - 1)))
  for at, record in ipairs(records) do
    bytes = bytes + #record
    if bytes > tonumber(ARGV[8]) and #out > 3 then break end
    local name, number = names[from + at - 1], #claimed + 1
    claimed[number], later[2 * number - 1], later[2 * number] = name, till, name
    out[#out + 1], out[#out + 2], out[#out + 3] = name, record, 0
  end
  if bytes > tonumber(ARGV[8]) then break end
end
for at, count in ipairs(redis.call('HMGET', tries, unpack(claimed))) do out[3 + 3 * at] = count or '0' end
redis.call('ZADD', due, unpack(later))
return out
