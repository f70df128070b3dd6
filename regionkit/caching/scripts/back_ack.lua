-- From ARGV[6] on, for each record: name, version, clock of its claim, digest, and the claim's epoch where the row shows the very
-- record, 0 where it shows a newer one. Answers what became of each. Where there is none, what the cache has of the key goes if it
-- is older. Names are different
-- What goes, goes first and together: then there is room for what is set
local room = has_room()
begin()
local names, gone, bytes = {}, {}, 0
for at = 6, #ARGV, 5 do names[#names + 1] = ARGV[at] end
local known = redis.call('HMGET', dirty, unpack(names))
for at, record in ipairs(known) do
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
local shown, floors = {}, {}  -- for each raised floor: the record's number, whether readers hear of it; the field of the floor
for number, name in ipairs(names) do
  local at, record = 5 * number + 1, known[number]
  local version = ARGV[at + 1]
  local value = aside and redis.call('HGET', parked, name)
  local raises, told = not record, false
  if value and version_of(set_aside(value)) <= version then
    forget_parked(name, value)
    raises = true
  end
  if record and version_of(record) <= version then
    raises, told = true, not (version_of(record) == version and ARGV[at + 4] == epoch)
    out[number] = 'clean'
  elseif record then
    redis.call('ZADD', due, clock, name)
    local since, claimed = tonumber(redis.call('ZSCORE', ages, name) or 0), tonumber(ARGV[at + 2])
    redis.call('ZADD', ages, math.max(since, math.min(claimed, clock)), name)
    out[number] = 'again'
  else
    local stands = redis.call('GETRANGE', base .. ':v:' .. name, 51, 77) >= ROW .. version
    if not stands then redis.call('DEL', base .. ':v:' .. name, base .. ':l:' .. name) end
    told = not stands or value
    out[number] = 'gone'
  end
  if raises then shown[#shown + 1], floors[#floors + 1] = {number, told}, 'f' .. ARGV[at + 3] end
end
if shown[1] then
  local stamp, kept, lives = redis.call('HINCRBY', account, 'q', #shown) - #shown, {}, {}
  local till = digits(clock + floor_life, 13)
  raised = true
  for at, before in ipairs(redis.call('HMGET', account, unpack(floors))) do
    local number, told = unpack(shown[at])
    local record, version = known[number], ARGV[5 * number + 2]
    local own = digits(stamp + at, 16)
    kept[2 * at - 1], kept[2 * at] = floors[at], own .. later_of(before, ROW .. version)
    lives[2 * at - 1], lives[2 * at] = till, floors[at]
    local life = out[number] == 'clean' and not told and tonumber(string.sub(record, 66, 78)) or 0
    if room and life > 0 then redis.call('SET', base .. ':v:' .. names[number], stamped(record, own, before_entry(record)), 'PX', life) end
    if told then tell('k', ARGV[5 * number + 4], own) end
  end
  redis.call('HSET', account, unpack(kept))
  redis.call('ZADD', ends, unpack(lives))
end
trim()
return out
