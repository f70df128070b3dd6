-- From ARGV[6] on, the name of each. Answers dirty, newer (the key has a later value, and stays) or gone for each
begin()
local out = {}
for at = 6, #ARGV do
  local name = ARGV[at]
  local value = redis.call('HGET', parked, name)
  if not value then
    out[#out + 1] = 'gone'
  elseif redis.call('HEXISTS', dirty, name) == 1 then
    out[#out + 1] = 'newer'
  else
    forget_parked(name, value)
    make_dirty(name, set_aside(value), tonumber(string.sub(value, 1, 13)))
    out[#out + 1] = 'dirty'
  end
end
return out
