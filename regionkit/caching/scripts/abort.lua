-- ARGV[6] id; then the digest of each key
begin()
redis.call('DEL', account .. ':w:' .. ARGV[6])
each_key(function(number)
  local digest = ARGV[7 + number]
  set_intents(digest, (without(redis.call('HGET', account, 'i' .. digest) or '', ARGV[6])))
end)
return 1
