-- From ARGV[6] on, for each record: name, version, clock of its claim, digest, and the claim's epoch where the row shows the very
-- record, 0 where it shows a newer one. Answers what became of each. Where there is none, what the cache has of the key goes if it
-- is older. Names are different
-- What goes, goes first and together: then there is room for what is set
local room = has_room()
begin()
local names, known, gone, bytes = {}, {}, {}, 0
for at = 6, #ARGV, 5 do names[#names + 1] = ARGV[at] end
for at, record in ipairs(redis.call('HMGET', dirty, unpack(names))) do
  known[at] = record
  if record and version_of(record) <= ARGV[5 * at + 2] then
    gone[#gone + 1], bytes = names[at], bytes + #record
  end
end
if gone[1] then
  redis.call('HDEL', dirty, unpack(gone))
  redis.call('ZREM', due, unpack(gone))
  redis.call('ZREM', ages, unpack(gone))
  redis.call('HDEL', tries, unpack(gone))
  redis.call('HINCRBY', back, 'b', -bytes)
end
local epoch, out, aside = redis.call('HGET', back, 'e'), {}, redis.call('HLEN', parked) > 0
for number, name in ipairs(names) do
  local at, record = 5 * number + 1, known[number]
  local version, claimed, digest = ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local value = aside and redis.call('HGET', parked, name)
  local shown, told = false, false
  if value and version_of(set_aside(value)) <= version then
    forget_parked(name, value)
    shown = true
  end
  if record and version_of(record) <= version then
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
