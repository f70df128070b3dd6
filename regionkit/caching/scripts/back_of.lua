-- ARGV[6] name. Answers {version of the dirty record or '', how many other rows are behind for as long or longer}
local record, since = redis.call('HGET', dirty, ARGV[6]), redis.call('ZSCORE', ages, ARGV[6])
return {record and version_of(record) or '', since and redis.call('ZCOUNT', ages, '-inf', since) - 1 or 0}
