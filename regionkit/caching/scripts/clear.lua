-- ARGV[6] version. Another generation: what was stored before is not served any more
begin()
open_next(ARGV[6])
return 1
