-- ARGV[6] version. Answers generation and clock. Another generation: what was stored before is not served any more
begin()
open_next(ARGV[6])
return {generation(), digits(clock, 13)}
