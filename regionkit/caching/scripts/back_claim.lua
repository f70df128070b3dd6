-- ARGV[6] run of the server, [7] most records, [8] most bytes, [9] milliseconds that a claim lasts, [10] that the flusher is alive
-- Answers {opened, epoch, clock}, then name, record and tries of each
begin()
local good = opened(ARGV[6], '')
local keys = redis.call('HLEN', dirty) - 1
if not good or meta.m ~= '' or redis.call('ZCARD', due) ~= keys or redis.call('ZCARD', ages) ~= keys then
  return {0, tonumber(meta.e or 0), clock}
end
redis.call('HSET', back, 'f', digits(clock + tonumber(ARGV[10]), 13))
local out, bytes, later, till = {1, tonumber(meta.e), clock}, 0, {}, digits(clock + tonumber(ARGV[9]), 13)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', clock, 'LIMIT', 0, ARGV[7])) do
  local record = redis.call('HGET', dirty, name)
  bytes = bytes + #record
  if bytes > tonumber(ARGV[8]) and #out > 3 then break end
  later[#later + 1], later[#later + 2] = till, name
  out[#out + 1], out[#out + 2], out[#out + 3] = name, record, redis.call('HINCRBY', tries, name, 1)
end
if later[1] then redis.call('ZADD', due, unpack(later)) end
return out
