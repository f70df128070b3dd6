-- ARGV[6] name, [7] version, [8] reason. Answers 1 where the record is still that version, else 0: a later one is due now
begin()
local name = ARGV[6]
local record = redis.call('HGET', dirty, name)
if record and version_of(record) ~= ARGV[7] then redis.call('ZADD', due, clock, name) end
if not record or version_of(record) ~= ARGV[7] then return 0 end
local before, since = redis.call('HGET', parked, name), redis.call('ZSCORE', ages, name)
if before then forget_parked(name, before) end
forget_dirty(name, record)
local value = digits(tonumber(since or clock), 13) .. digits(#ARGV[8], 4) .. ARGV[8] .. record
redis.call('HSET', parked, name, value)
redis.call('HINCRBY', back, 'p', #value)
return 1
