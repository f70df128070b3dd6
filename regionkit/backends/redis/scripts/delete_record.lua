-- Takes a record away where its version is the expected one.
-- KEYS: record. ARGV: expected version.
-- Returns 1 when it was taken away, else {version, value} of the record that stands; both nil where none does.
local stands = redis.call('HMGET', KEYS[1], 'version', 'value')
if (stands[1] or '0') ~= ARGV[1] then return stands end
redis.call('DEL', KEYS[1])
return 1
