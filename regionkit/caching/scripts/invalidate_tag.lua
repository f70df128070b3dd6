-- ARGV[6] digest of the tag, ARGV[7] version, ARGV[8] id of the row that says so, or ''. Answers 0 when there were too many tags, and the cache was cleared
begin()
done(ARGV[8])
local stamp, fits = raise('t' .. ARGV[6], ARGV[7], tag_life)
if fits then
  tell('t', ARGV[6], stamp)
  return 1
end
redis.call('HSET', account, 'g', ARGV[1])
tell('c', '')
return 0
