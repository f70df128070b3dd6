-- For each key, from ARGV[6] on: digest, token, generation, version, owner (1 or 0), entry, milliseconds that it is kept
-- Answers generation, clock, then a verdict for each key
local room, leases = has_room(), {}
each_key(function(number, value, lease)
  local held = redis.call('GET', lease)
  if held and string.sub(held, 1, 16) == ARGV[7 + 7 * number] then
    leases[number] = held
    redis.call('DEL', lease)
  end
end)
begin()
local out = {generation(), digits(clock, 13)}
each_key(function(number, value)
  local from, held = 6 + 7 * number, leases[number]
  local digest, owner, entry = ARGV[from], ARGV[from + 4] == '1', ARGV[from + 5]
  if not (held and room) then
    out[#out + 1] = 'lost'
    return
  end
  if string.sub(held, 46, 46) == 'w' then tell('f', digest) end
  local stamp, version, asked = string.sub(held, 17, 32), ARGV[from + 3], string.sub(held, 48, 74)
  if string.sub(held, 75, 82) ~= generation() or tonumber(string.sub(held, 33, 45)) <= clock then
    out[#out + 1] = 'lost'
    return
  end
  local intents, own, common = of_key(digest)
  if intents then
    out[#out + 1] = 'intended'
  elseif (string.sub(held, 47, 47) == '1' or clock < owner_until) and not owner then
    out[#out + 1] = 'below'
  elseif not (is_above_all(own, common, stamp, version, owner, tags_of(entry)) and reaches(asked, version, owner)) then
    out[#out + 1] = 'below'
  else
    redis.call('SET', value, stamped(entry, stamp), 'PX', ARGV[from + 6])
    out[#out + 1] = 'stored'
  end
end)
return out
