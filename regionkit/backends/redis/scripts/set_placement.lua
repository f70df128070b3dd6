-- Puts a placement where the row's version is the expected one.
-- KEYS: placements of a store. ARGV: key, expected version (0: none), row.
-- Returns the row that stands then; nil where none does.
local stands = redis.call('HGET', KEYS[1], ARGV[1])
local version = 0
if stands then version = cjson.decode(stands)['version'] end
if version ~= tonumber(ARGV[2]) then return stands end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]
