-- ARGV[6] token of the lease, [7] milliseconds until anybody claims again, [8] version of the entry that failed, or ''. Answers its tries
begin()
if redis.call('HGET', back, 'l') == ARGV[6] then
  if tonumber(ARGV[7]) > 0 then
    redis.call('HSET', back, 'l', '-', 'u', digits(clock + tonumber(ARGV[7]), 13))
  else
    redis.call('HDEL', back, 'l', 'u')
  end
end
if ARGV[8] == '' or not redis.call('XRANGE', log, entry_id(ARGV[8]), entry_id(ARGV[8]))[1] then return 0 end
return redis.call('HINCRBY', tries, ARGV[8], 1)
