-- ARGV[6] version and name of a parked entry. Answers its record, or ''
begin()
local value = redis.call('HGET', parked, ARGV[6])
return value and set_aside(value) or ''
