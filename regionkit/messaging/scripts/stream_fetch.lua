-- Deliver to a member: what others have lost, then what nobody had. A hole before the latter is told, and nothing delivered.
-- ARGV: group, member, most, lease ms, cursor of the reclaim ("": not now).
-- {"none"}: no such group. {"gap", n}: n entries are gone. {"ok", cursor, lost, last id, left, id, count, body or fields, ...}
local key, group, me, most, cursor = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local function named(flat)
  local found = {}
  for at = 1, #flat, 2 do found[flat[at]] = flat[at + 1] end
  return found
end
local groups = redis.pcall('XINFO', 'GROUPS', key)
if groups.err then
  if string.find(groups.err, 'no such key', 1, true) then return {'none'} end
  return groups
end
local mine
for _, flat in ipairs(groups) do
  local one = named(flat)
  if one['name'] == group then mine = one end
end
if not mine then return {'none'} end
local length, lag, read = redis.call('XLEN', key), mine['lag'], mine['entries-read']
if read and (not lag or lag >= length) then  -- all that is there is new to the group, or nobody knows: look closely
  local gone = named(redis.call('XINFO', 'STREAM', key))['entries-added'] - length
  if gone > read then return {'gap', gone - read} end
end
local answer, lost, last = {'ok', cursor, 0, mine['last-delivered-id'], mine['pending'] + (lag or 0)}, 0, nil
local filled = #answer
local function add(entry, count)
  local fields = entry[2]
  local body = fields
  for at = 1, #fields, 2 do
    if fields[at] == 'rk' then body = fields[at + 1] end
  end
  answer[filled + 1], answer[filled + 2], answer[filled + 3] = entry[1], count, body
  filled = filled + 3
end
if cursor ~= '' then
  local claimed, holes = redis.call('XAUTOCLAIM', key, group, me, ARGV[4], cursor, 'COUNT', most), false
  answer[2] = claimed[1]
  for _, entry in ipairs(claimed[2]) do
    if entry and entry[2] then
      add(entry, redis.call('XPENDING', key, group, entry[1], entry[1], 1)[1][4])
      most = most - 1
    else
      holes = true
    end
  end
  lost = claimed[3] and #claimed[3] or 0
  if holes then  -- before Redis 7 entries that are gone stay pending
    for _, pending in ipairs(redis.call('XPENDING', key, group, '-', '+', 1000, me)) do
      if #redis.call('XRANGE', key, pending[1], pending[1]) == 0 then
        lost = lost + redis.call('XACK', key, group, pending[1])
      end
    end
  end
end
answer[3] = lost
if most > 0 then
  local new = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', most, 'STREAMS', key, '>')
  if new then
    for _, entry in ipairs(new[1][2]) do
      add(entry, 1)
      last = entry[1]
    end
  end
end
answer[4] = last or answer[4]
return answer
