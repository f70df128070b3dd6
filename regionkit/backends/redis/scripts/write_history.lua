-- Adds a history row after its parent.
-- KEYS: history. ARGV: parent, row, origin.
-- Returns 1, or 0: the parent has a child already, or the server stands elsewhere by now than the row says.
-- Why: a parent has one child, however many processes saw the promotion.
local info = redis.call('INFO', 'replication')
if not string.find(info, 'master_replid:' .. ARGV[3], 1, true) then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
