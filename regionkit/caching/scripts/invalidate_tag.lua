-- ARGV[6] digest of the tag, ARGV[7] version. Answers 0 when there were too many tags, and the cache was cleared
begin()
local before = generation()
tell('t', ARGV[6], raise('t' .. ARGV[6], ARGV[7], tag_life))
trim()
return {generation(), digits(clock, 13), before == generation() and 1 or 0}
