-- Writes the versions of tables that are not there yet, unless one stands there in another version.
-- KEYS: versions of tables. ARGV: name, version, name, version, ...
-- Returns name, version, name, version, ... of all that stood there before.
-- Why: many processes may make tables at once, and none changes what an older or newer regionkit made.
local stood = redis.call('HGETALL', KEYS[1])
local versions = {}
for at = 1, #stood, 2 do versions[stood[at]] = stood[at + 1] end
for at = 1, #ARGV, 2 do
  local version = versions[ARGV[at]]
  if version and version ~= ARGV[at + 1] then return stood end
end
for at = 1, #ARGV, 2 do
  if not versions[ARGV[at]] then redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
end
return stood
