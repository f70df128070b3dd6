-- From ARGV[6] on, the name of each. Answers 1 for each that was parked, else 0
begin()
local out = {}
for at = 6, #ARGV do
  local value = redis.call('HGET', parked, ARGV[at])
  if value then
    forget_parked(ARGV[at], value)
    local record = set_aside(value)
    local digest = digest_of(record)
    redis.call('DEL', base .. ':v:' .. ARGV[at], base .. ':l:' .. ARGV[at])
    tell('k', digest, raise('f' .. digest, '8' .. string.sub(ROW, 2) .. version_of(record), floor_life))
  end
  out[#out + 1] = value and 1 or 0
end
trim()
return out
