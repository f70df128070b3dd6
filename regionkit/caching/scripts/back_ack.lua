-- From ARGV[6] on, for each record: name, version, clock of its claim, digest, and the claim's epoch where the row shows the very
-- record, 0 where it shows a newer one. Answers what became of each. Where there is none, what the cache has of the key goes if it
-- is older
local room = has_room()
begin()
local epoch, out = redis.call('HGET', back, 'e'), {}
for at = 6, #ARGV, 5 do
  local name, version, claimed, digest = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local record, value = redis.call('HGET', dirty, name), redis.call('HGET', parked, name)
  local shown, told = false, false
  if value and version_of(set_aside(value)) <= version then
    forget_parked(name, value)
    shown = true
  end
  if record and version_of(record) <= version then
    forget_dirty(name, record)
    shown = true
    out[#out + 1] = 'clean'
  elseif record then
    redis.call('ZADD', due, clock, name)
    redis.call('ZADD', ages, math.max(tonumber(redis.call('ZSCORE', ages, name) or 0), math.min(claimed, clock)), name)
    out[#out + 1] = 'again'
  else
    local stands = redis.call('GETRANGE', base .. ':v:' .. name, 51, 77) >= ROW .. version
    if not stands then redis.call('DEL', base .. ':v:' .. name, base .. ':l:' .. name) end
    shown, told = true, not stands or value
    out[#out + 1] = 'gone'
  end
  if shown then
    local stamp = raise('f' .. digest, ROW .. version, floor_life)
    local same = record and version_of(record) == version and ARGV[at + 4] == epoch
    local kept = same and tonumber(string.sub(record, 66, 78)) or 0
    if room and kept > 0 then redis.call('SET', base .. ':v:' .. name, stamped(entry_of(record), stamp), 'PX', kept) end
    if told or (record and not same and version_of(record) <= version) then tell('k', digest, stamp) end
  end
end
trim()
return out
