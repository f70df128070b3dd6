-- From ARGV[6] on, version and name of each as one. Answers 1 for each that was parked, else 0
begin()
local out = {}
for at = 6, #ARGV do
  local value = redis.call('HGET', parked, ARGV[at])
  if value then forget_parked(ARGV[at], value) end
  out[#out + 1] = value and 1 or 0
end
return out
