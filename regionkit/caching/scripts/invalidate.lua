-- ARGV[6] version; then the digest of each key, then the id of the row that says so, or ''. An entry whose row version is above the
-- one told stays (rule 6); it is told all the same, as a process may have an older one
local version, kept = ARGV[6], {}
local now = redis.call('HGET', account, 'g')
each_key(function(number, value, lease)
  local head = string.sub(version, 1, 1) == '2' and redis.call('GETRANGE', value, 0, 117) or ''
  kept[number] = #head == 118 and string.sub(head, 1, 3) == 'rk1' and string.sub(head, 28, 35) == now
    and string.sub(head, 12, 27) == ARGV[7 + number] and string.sub(head, 52, 52) == '2' and string.sub(head, 52, 78) > version
  redis.call('DEL', lease)
  if not kept[number] then redis.call('DEL', value) end
end)
begin()
each_key(function(number)
  tell('k', ARGV[7 + number], raise('f' .. ARGV[7 + number], version, floor_life))
end)
done(ARGV[7 + (#KEYS - 3) / 2])
trim()
return 1
