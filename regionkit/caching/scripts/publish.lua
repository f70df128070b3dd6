-- ARGV[6] digest, ARGV[7] id, ARGV[8] lo, ARGV[9] hi, ARGV[10] entry, ARGV[11] milliseconds that it is kept. Answers verdict and stamp
local room = has_room()
redis.call('DEL', KEYS[4], KEYS[5])
begin()
local digest, lo = ARGV[6], ARGV[8]
local intents, floor, common = of_key(digest)
local left, own = without(intents or '', ARGV[7])
set_intents(digest, left)
done(ARGV[7])
local good = own and tonumber(string.sub(own, 33, 45)) > clock and left == ''
good = good and tonumber(string.sub(own, 17, 32)) > tonumber(redis.call('HGET', account, 'd'))
good = good and is_above_all(floor, common, string.sub(own, 17, 32), lo, lo == '', tags_of(ARGV[10]))
good = good and not (buffers and buffered(KEYS[4]))
local stamp = raise('f' .. digest, ARGV[9], floor_life)
tell('k', digest, stamp)
trim()
if not (good and room) then return {'below', stamp} end
redis.call('SET', KEYS[4], stamped(ARGV[10], stamp), 'PX', ARGV[11])
return {'stored', stamp}
