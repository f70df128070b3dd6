-- ARGV[6] run of the server, [7] most entries, [8] most bytes, [9] milliseconds that the lease lasts, [10] that the flusher is alive,
-- [11] token of the lease. Answers {opened, epoch, clock}, then name, record and tries of each, in order
begin()
local good = opened(ARGV[6], '')
local keys = redis.call('HLEN', dirty) - 1
if not good or meta.m ~= 'l' or redis.call('ZCARD', due) ~= keys or redis.call('ZCARD', ages) ~= keys then
  return {0, tonumber(meta.e or 0), clock}
end
redis.call('HSET', back, 'f', digits(clock + tonumber(ARGV[10]), 13))
local out, bytes = {1, tonumber(meta.e), clock}, 0
local lease = redis.call('HMGET', back, 'l', 'u')
if (lease[1] and lease[1] ~= ARGV[11] and tonumber(lease[2]) > clock) or was_ended(ARGV[11]) then return out end
for one in each_entry('+') do
  local name, record = one[2][2], one[2][4]
  bytes = bytes + #record
  if bytes > tonumber(ARGV[8]) and #out > 3 then break end
  out[#out + 1], out[#out + 2], out[#out + 3] = name, record, redis.call('HGET', tries, version_of(record)) or '0'
  if #out == 3 + 3 * ARGV[7] then break end
end
if #out > 3 then redis.call('HSET', back, 'l', ARGV[11], 'u', digits(clock + tonumber(ARGV[9]), 13)) end
return out
