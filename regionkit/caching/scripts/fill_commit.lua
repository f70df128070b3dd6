-- For each key, from ARGV[6] on: digest, token, generation, version, owner (1 or 0), entry, milliseconds that it is kept
-- Answers generation, clock, then a verdict for each key
begin()
local out = {generation(), digits(clock, 13)}
each_key(function(number, value, lease)
  local from = 6 + 7 * number
  local digest, token, owner, entry = ARGV[from], ARGV[from + 1], ARGV[from + 4] == '1', ARGV[from + 5]
  local held = redis.call('GET', lease)
  if not held or string.sub(held, 1, 16) ~= token then
    out[#out + 1] = 'lost'
    return
  end
  redis.call('DEL', lease)
  local stamp = string.sub(held, 17, 32)
  if ARGV[from + 2] ~= generation() then
    out[#out + 1] = 'lost'
  elseif redis.call('HEXISTS', account, 'i' .. digest) == 1 then
    out[#out + 1] = 'intended'
  elseif clock < tonumber(redis.call('HGET', account, 'o')) and not owner then
    out[#out + 1] = 'below'
  elseif not is_above_all(digest, stamp, ARGV[from + 3], owner, tags_of(entry)) then
    out[#out + 1] = 'below'
  else
    redis.call('SET', value, stamped(entry, stamp), 'PX', ARGV[from + 6])
    out[#out + 1] = 'stored'
  end
  if string.sub(held, 46, 46) == 'w' then tell('f', digest) end
end)
return out
