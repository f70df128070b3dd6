-- ARGV[6] who, ARGV[7] how far it has come or '', ARGV[8] milliseconds that it holds the tail, ARGV[9] longest time without, ARGV[10] part
-- Answers {1, how far it had come before, -1: it has not begun, -2: too long ago}, or {0, 0} when another holds the tail
begin()
local part = ARGV[10]
local known = redis.call('HMGET', account, 'th' .. part, 'tu' .. part, 'ta' .. part, 'tw' .. part)
if known[1] and known[1] ~= ARGV[6] and tonumber(known[2]) > clock then return {0, 0} end
local at = -1
if known[3] then at = wall - tonumber(known[4]) < tonumber(ARGV[9]) and known[3] or -2 end
redis.call('HSET', account, 'th' .. part, ARGV[6], 'tu' .. part, digits(clock + tonumber(ARGV[8]), 13))
if ARGV[7] ~= '' then
  redis.call('HSET', account, 'ta' .. part, ARGV[7], 'tw' .. part, digits(wall, 13))
end
return {1, at}
