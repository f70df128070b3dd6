-- Take away what every group has been given and has acknowledged. ARGV: ms that an entry stays at least. How many went.
local key, groups = KEYS[1], redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then
  if string.find(groups.err, 'no such key', 1, true) then return 0 end
  return groups
end
local ms, seq = math.huge, 0
if ARGV[1] ~= '0' then
  local time = redis.call('TIME')
  ms = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
end
for _, flat in ipairs(groups) do
  local group = {}
  for at = 1, #flat, 2 do group[flat[at]] = flat[at + 1] end
  local pending = redis.call('XPENDING', key, group['name'])
  local first = pending[1] > 0 and pending[2] or group['last-delivered-id']
  local its_ms, its_seq = string.match(first, '^(%d+)-(%d+)$')
  its_ms, its_seq = tonumber(its_ms), tonumber(its_seq) + (pending[1] > 0 and 0 or 1)
  if its_ms < ms or (its_ms == ms and its_seq < seq) then ms, seq = its_ms, its_seq end
end
if #groups == 0 then return 0 end
return redis.call('XTRIM', key, 'MINID', '=', string.format('%.0f-%.0f', ms, seq))
