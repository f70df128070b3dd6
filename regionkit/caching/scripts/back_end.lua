-- ARGV[6] token of a claim, [7] milliseconds for which it may come late. What it has is due now; in log mode, its lease is given back
begin()
local till = redis.call('ZSCORE', claims, ARGV[6])
if till and tonumber(till) > clock then
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', due, till, till)) do redis.call('ZADD', due, clock, name) end
end
redis.call('ZREM', claims, ARGV[6])
redis.call('ZADD', claims, clock + ARGV[7], '-' .. ARGV[6])
if redis.call('HGET', back, 'l') == ARGV[6] then redis.call('HDEL', back, 'l', 'u') end
return 1
