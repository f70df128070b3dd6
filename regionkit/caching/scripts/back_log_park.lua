-- ARGV[6] version of the entry, [7] reason, [8] token of the lease. Answers 1 where it was in the log and the lease is this one, else 0
begin()
if redis.call('HGET', back, 'l') ~= ARGV[8] then return 0 end
local id = entry_id(ARGV[6])
local found = redis.call('XRANGE', log, id, id)[1]
if not found then return 0 end
local name, record = found[2][2], found[2][4]
local stands = redis.call('HGET', dirty, name)
redis.call('XDEL', log, id)
redis.call('HDEL', tries, ARGV[6])
redis.call('HINCRBY', back, 'g', -#record)
if stands and version_of(stands) == ARGV[6] then
  forget_dirty(name, stands)
  tell('k', digest_of(record), raise('f' .. digest_of(record), '', floor_life))
end
local value = string.sub(record, 36, 48) .. digits(#ARGV[7], 4) .. ARGV[7] .. record
redis.call('HSET', parked, ARGV[6] .. name, value)
redis.call('HINCRBY', back, 'p', #value)
trim()
return 1
