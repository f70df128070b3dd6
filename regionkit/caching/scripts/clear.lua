-- ARGV[6] version, ARGV[7] id of the row that says so, or ''. Another generation: what was stored before is not served any more
begin()
done(ARGV[7])
raise('t*', ARGV[6], tag_life)
redis.call('HSET', account, 'g', ARGV[1])
tell('c', '')
return 1
