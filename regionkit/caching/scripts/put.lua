-- ARGV[6] digest, ARGV[7] entry, ARGV[8] milliseconds that it is kept. Answers the stamp
redis.call('DEL', KEYS[4], KEYS[5])
begin()
local stamp = raise('f' .. ARGV[6], '', floor_life)
tell('k', ARGV[6], stamp)
redis.call('SET', KEYS[4], stamped(ARGV[7], stamp), 'PX', ARGV[8])
return stamp
