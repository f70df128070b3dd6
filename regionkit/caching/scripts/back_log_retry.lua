-- ARGV[6] run of the server, then version and name of each as one. Answers dirty or gone for each; {'open'} where the buffer is to be opened
begin()
if not opened(ARGV[6], '') or meta.m ~= 'l' then return {'open'} end
local out, number, at = {}, meta.n, digits(clock, 13)
for field = 7, #ARGV do
  local name = string.sub(ARGV[field], 20)
  local value = redis.call('HGET', parked, ARGV[field])
  out[#out + 1] = value and 'dirty' or 'gone'
  if value then
    forget_parked(ARGV[field], value)
    local old, before, digest = set_aside(value), redis.call('HGET', dirty, name), digest_of(set_aside(value))
    number = number + 1
    local version = string.format('%06.0f%013.0f', meta.e, number)
    local entry = entry_of(old)
    local record = record_of(version, string.sub(old, 20, 35), at, string.sub(old, 49, -#entry - 1), entry)
    redis.call('DEL', base .. ':v:' .. name, base .. ':l:' .. name)
    redis.call('HSET', dirty, name, record)
    redis.call('ZADD', due, 'NX', clock, name)
    redis.call('ZADD', ages, 'NX', clock, name)
    redis.call('HINCRBY', back, 'b', #record - (before and #before or 0))
    redis.call('HINCRBY', back, 'g', #record)
    redis.call('XADD', log, entry_id(version), 'n', name, 'r', record)
    tell('k', digest, raise('f' .. digest, '', floor_life))
  end
end
redis.call('HSET', back, 'n', digits(number, 1))
trim()
return out
