-- From ARGV[6] on, for each record: name, version, clock of its claim, digest. Answers what became of each
local room = has_room()
begin()
local out = {}
for at = 6, #ARGV, 4 do
  local name, version, claimed, digest = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local record, value = redis.call('HGET', dirty, name), redis.call('HGET', parked, name)
  local shown = false
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
    redis.call('ZADD', ages, math.max(tonumber(redis.call('ZSCORE', ages, name)), math.min(claimed, clock)), name)
    out[#out + 1] = 'again'
  else
    out[#out + 1] = 'gone'
  end
  if shown then
    local stamp = raise('f' .. digest, ROW .. version, floor_life)
    local kept = record and tonumber(string.sub(record, 66, 78)) or 0
    if record and version_of(record) == version then
      if room and kept > 0 then redis.call('SET', base .. ':v:' .. name, stamped(entry_of(record), stamp), 'PX', kept) end
    elseif not record or version_of(record) < version then
      tell('k', digest, stamp)
    end
  end
end
trim()
return out
