-- ARGV[6] milliseconds until they are due, [7] how many tries it was; then name, version and digest of each. Answers 1 for each that is still that version, else 0
-- A later one is due now: the claim is over. Where there is none, the row may show it by now: what the cache has of the key goes
begin()
local out = {}
for at = 8, #ARGV, 3 do
  local name, digest = ARGV[at], ARGV[at + 2]
  local record = redis.call('HGET', dirty, name)
  local same = record and version_of(record) == ARGV[at + 1]
  if same then
    redis.call('ZADD', due, clock + tonumber(ARGV[6]), name)
    if ARGV[7] ~= '0' then redis.call('HINCRBY', tries, name, ARGV[7]) end
  elseif record then
    redis.call('ZADD', due, clock, name)
  else
    redis.call('DEL', base .. ':v:' .. name, base .. ':l:' .. name)
    tell('k', digest, raise('f' .. digest, '', floor_life))
  end
  out[#out + 1] = same and 1 or 0
end
trim()
return out
