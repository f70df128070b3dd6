-- ARGV[6] run of the server; then name, record and digest of what a journal kept and the sink refuses. Answers 1 where the buffer is open
-- A record is dirty again with its own version, unless the key has a later one
begin()
local good = opened(ARGV[6], '')
if not good then return 0 end
for at = 7, #ARGV, 3 do
  local name, record, digest = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local old = redis.call('HGET', dirty, name)
  local aside = set_aside(redis.call('HGET', parked, name))
  if not (old and version_of(old) >= version_of(record)) and not (aside and version_of(aside) >= version_of(record)) then
    redis.call('DEL', base .. ':v:' .. name, base .. ':l:' .. name)
    local since = old and redis.call('ZSCORE', ages, name) or math.min(clock, tonumber(string.sub(record, 36, 48)))
    if old then forget_dirty(name, old) end
    make_dirty(name, record, since)
    tell('k', digest, next_stamp())
  end
end
return 1
