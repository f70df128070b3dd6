-- ARGV[6] version. Another generation: what was stored before is not served any more
begin()
raise('t*', ARGV[6], tag_life)
redis.call('HSET', account, 'g', ARGV[1])
tell('c', '')
return 1
