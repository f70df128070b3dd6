-- ARGV[6] digest of the tag, ARGV[7] version, ARGV[8] id of the row that says so. Answers 0 when there were too many tags, and the
-- cache was cleared
begin()
local before = generation()
tell('t', ARGV[6], raise('t' .. ARGV[6], ARGV[7], tag_life))
done(ARGV[8])
trim()
return {generation(), digits(clock, 13), before == generation() and 1 or 0}
