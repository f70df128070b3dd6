-- Go on behind a hole: what is gone counts as read. ARGV: group.
local function named(flat)
  local found = {}
  for at = 1, #flat, 2 do found[flat[at]] = flat[at + 1] end
  return found
end
local gone = named(redis.call('XINFO', 'STREAM', KEYS[1]))['entries-added'] - redis.call('XLEN', KEYS[1])
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = named(flat)
  if group['name'] == ARGV[1] and group['entries-read'] and gone > group['entries-read'] then
    redis.call('XGROUP', 'SETID', KEYS[1], ARGV[1], group['last-delivered-id'], 'ENTRIESREAD', gone)
    return gone - group['entries-read']
  end
end
return 0
