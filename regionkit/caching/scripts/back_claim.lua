-- ARGV[6] run of the server, [7] most records, [8] most bytes, [9] milliseconds that a claim lasts, [10] that the flusher is alive
-- Answers {opened, epoch, clock}, then name, record and tries of each
local TOGETHER = 10
begin()
local good = opened(ARGV[6], '')
local keys = redis.call('HLEN', dirty) - 1
if not good or meta.m ~= '' or redis.call('ZCARD', due) ~= keys or redis.call('ZCARD', ages) ~= keys then
  return {0, tonumber(meta.e or 0), clock}
end
redis.call('HSET', back, 'f', digits(clock + tonumber(ARGV[10]), 13))
local out, bytes, claimed, later, counts = {1, tonumber(meta.e), clock}, 0, {}, {}, {}
local till, names = digits(clock + tonumber(ARGV[9]), 13), redis.call('ZRANGEBYSCORE', due, '-inf', clock, 'LIMIT', 0, ARGV[7])
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
if claimed[1] then
  for at, count in ipairs(redis.call('HMGET', tries, unpack(claimed))) do
    out[3 + 3 * at] = tonumber(count or 0) + 1
    counts[2 * at - 1], counts[2 * at] = claimed[at], count and out[3 + 3 * at] or '1'
  end
  redis.call('HSET', tries, unpack(counts))
  redis.call('ZADD', due, unpack(later))
end
return out
