-- ARGV[6] milliseconds of the lease; then for each key: digest, token, head of the entry that is not taken
-- Answers generation, clock, then for each key {verdict, entry or token, stamp, floor, owner only, intents, wait}
begin()
local out = {generation(), digits(clock, 13)}
each_key(function(number, value, lease)
  local digest, token, rejected = ARGV[7 + 3 * number], ARGV[8 + 3 * number], ARGV[9 + 3 * number]
  local record = buffers and buffered(value)
  if record then  -- what is acknowledged is what there is, whatever the caller rejects
    local entry = string.sub(record, 87 + tonumber(string.sub(record, 79, 86)))
    out[#out + 1] = {'stored', stamped(entry, digits(redis.call('HGET', account, 'q'), 16)), 1}
    return
  end
  local entry = standing(value, rejected)
  if entry then
    out[#out + 1] = {'stored', entry}
    return
  end
  local intents, own, common = of_key(digest)
  intents = intents or ''
  local over, alive = '', ''
  for at = 1, #intents, 45 do
    local one = string.sub(intents, at, at + 44)
    if tonumber(string.sub(one, 33, 45)) <= clock then over = over .. string.sub(one, 1, 16) else alive = alive .. one end
  end
  local others = not settles and settling  -- what became of it, others can find out
  if over ~= '' and not settles and not others then
    set_intents(digest, alive)
    raise('f' .. digest, '', floor_life)
    own = redis.call('HGET', account, 'f' .. digest)
  end
  local held = redis.call('GET', lease)
  local floor = version_floor(own, common)
  if over ~= '' and settles then
    out[#out + 1] = {'settle', '', '', floor, 0, over}
  elseif alive ~= '' or (over ~= '' and others) then
    out[#out + 1] = {'bypass', '', '', floor}
  elseif held and tonumber(string.sub(held, 33, 45)) > clock and string.sub(held, 75, 82) == generation() then
    if string.sub(held, 46, 46) ~= 'w' then redis.call('SETRANGE', lease, 45, 'w') end
    out[#out + 1] = {'wait', '', '', floor, 0, '', tonumber(string.sub(held, 33, 45)) - clock}
  else
    local stamp = next_stamp()
    local only = clock < owner_until and 1 or 0
    local until_when = digits(clock + tonumber(ARGV[6]), 13)
    redis.call('SET', lease, token .. stamp .. until_when .. '-' .. only .. floor .. generation(), 'PX', ARGV[6])
    out[#out + 1] = {'load', token, stamp, floor, only}
  end
end)
trim()
out[1] = generation()
return out
