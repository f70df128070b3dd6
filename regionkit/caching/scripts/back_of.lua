-- ARGV[6] name. Answers {time since when its row is behind or '', how many other rows are so for as long or longer}
local since = redis.call('ZSCORE', ages, ARGV[6])
return {since or '', since and redis.call('ZCOUNT', ages, '-inf', since) - 1 or 0}
