-- ARGV[6] id, ARGV[7] milliseconds; then the digest of each key
each_key(function(_, value, lease) redis.call('DEL', value, lease) end)
begin()
local stamp = next_stamp()
if settles then redis.call('HSET', account, 's', 1) end
redis.call('SET', account .. ':w:' .. ARGV[6], 1, 'PX', ARGV[7])
each_key(function(number)
  local digest = ARGV[8 + number]
  local others = without(redis.call('HGET', account, 'i' .. digest) or '', ARGV[6])
  set_intents(digest, others .. ARGV[6] .. stamp .. digits(clock + tonumber(ARGV[7]), 13))
  tell('k', digest, stamp)
end)
return 1
