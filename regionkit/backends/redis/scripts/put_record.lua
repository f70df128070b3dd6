-- Puts a record where the version is the expected one.
-- KEYS: record. ARGV: expected version (0: none), version, value, ms after which it ends ("" for never).
-- Returns 1 when it was put, else {version, value} of the record that stands; both nil where none does.
-- Why: the server's own clock ends a record, and an ended one is not there: its version is 0. HSET comes first, so that a
-- server that refuses writes refuses before anything was done.
local stands = redis.call('HMGET', KEYS[1], 'version', 'value')
if (stands[1] or '0') ~= ARGV[1] then return stands end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'value', ARGV[3])
if ARGV[4] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
