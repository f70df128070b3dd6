-- Make the group of a stream where there is none, at the earliest entry; take away members that are gone and have nothing.
-- ARGV: group, this member, idle ms after which one is gone. 1 where the group was made.
local key, group, me = KEYS[1], ARGV[1], ARGV[2]
local function named(flat)
  local found = {}
  for at = 1, #flat, 2 do found[flat[at]] = flat[at + 1] end
  return found
end
local groups = redis.pcall('XINFO', 'GROUPS', key)
if groups.err and not string.find(groups.err, 'no such key', 1, true) then return groups end
for _, flat in ipairs(groups) do
  if named(flat)['name'] == group then
    for _, about in ipairs(redis.call('XINFO', 'CONSUMERS', key, group)) do
      local member = named(about)
      if member['name'] ~= me and member['pending'] == 0 and member['idle'] > tonumber(ARGV[3]) then
        redis.call('XGROUP', 'DELCONSUMER', key, group, member['name'])
      end
    end
    return 0
  end
end
local gone = 0  -- what was trimmed before is no hole of this group
if not groups.err then
  local added = named(redis.call('XINFO', 'STREAM', key))['entries-added']
  gone = added and added - redis.call('XLEN', key)
end
local made = gone and redis.pcall('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM', 'ENTRIESREAD', gone)
if not made or made.err then redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM') end  -- before Redis 7
return 1
