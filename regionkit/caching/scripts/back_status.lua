-- ARGV[6] run of the server. Answers {open, epoch, last number, dirty, parked, bytes, oldest age or -1, flusher alive for, clock,
-- 1 in log mode, entries of the log}, milliseconds
begin()
local good = opened(ARGV[6], '')
local oldest = redis.call('ZRANGE', ages, 0, 0, 'WITHSCORES')[2]
if meta.m == 'l' then
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  oldest = first and string.sub(first[2][4], 36, 48)
end
local more = redis.call('HMGET', back, 'n', 'f')
return {
  good and 1 or 0, tonumber(meta.e or 0), tonumber(more[1] or 0), math.max(0, redis.call('HLEN', dirty) - 1),
  redis.call('HLEN', parked), meta.b + meta.p + meta.g, oldest and clock - tonumber(oldest) or -1, tonumber(more[2] or clock) - clock, clock,
  meta.m == 'l' and 1 or 0, redis.call('XLEN', log),
}
