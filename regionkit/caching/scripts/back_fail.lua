-- ARGV[6] milliseconds until they are due; then name and version of each. Answers 1 for each that is still that version, else 0
begin()
local out = {}
for at = 7, #ARGV, 2 do
  local record = redis.call('HGET', dirty, ARGV[at])
  local same = record and version_of(record) == ARGV[at + 1]
  if same then redis.call('ZADD', due, clock + tonumber(ARGV[6]), ARGV[at]) end
  out[#out + 1] = same and 1 or 0
end
return out
