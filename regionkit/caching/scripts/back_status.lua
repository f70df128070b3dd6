-- ARGV[6] run of the server. Answers {open, epoch, last number, dirty, parked, bytes, oldest age or -1, flusher alive for, clock}, milliseconds
begin()
local good = opened(ARGV[6], '')
local oldest = redis.call('ZRANGE', ages, 0, 0, 'WITHSCORES')[2]
local more = redis.call('HMGET', back, 'n', 'f')
return {
  good and 1 or 0, tonumber(meta.e or 0), tonumber(more[1] or 0), math.max(0, redis.call('HLEN', dirty) - 1),
  redis.call('HLEN', parked), meta.b + meta.p, oldest and clock - tonumber(oldest) or -1, tonumber(more[2] or clock) - clock, clock,
}
