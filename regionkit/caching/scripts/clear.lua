-- ARGV[6] version, ARGV[7] id of the row that says so, or ''. Answers generation and clock. Another generation: what was stored
-- before is not served any more
begin()
open_next(ARGV[6])
done(ARGV[7])
return {generation(), digits(clock, 13)}
