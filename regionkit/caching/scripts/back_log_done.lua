-- ARGV[6] token of the lease, [7] version up to which the sink has all entries, or ''. Answers how many went
begin()
local gone, size = 0, 0
if ARGV[7] ~= '' then
  for one in each_entry(entry_id(ARGV[7])) do
    gone, size = gone + 1, size + #one[2][4]
    redis.call('XDEL', log, one[1])
    redis.call('HDEL', tries, version_of(one[2][4]))
  end
  if gone > 0 then redis.call('HINCRBY', back, 'g', -size) end
end
if redis.call('HGET', back, 'l') == ARGV[6] then redis.call('HDEL', back, 'l', 'u') end
return gone
