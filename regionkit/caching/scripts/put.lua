-- ARGV[6] digest, ARGV[7] entry, ARGV[8] milliseconds that it is kept. Answers the stamp; 0: there is no room
local room = has_room()
redis.call('DEL', KEYS[4], KEYS[5])
begin()
local stamp = raise('f' .. ARGV[6], '', floor_life)
tell('k', ARGV[6], stamp)
trim()
if not room then return 0 end
redis.call('SET', KEYS[4], stamped(ARGV[7], stamp), 'PX', ARGV[8])
return stamp
