-- ARGV[6] digest, ARGV[7] token. Answers 1 when the lease was still this one's
local held = redis.call('GET', KEYS[5])
if not held or string.sub(held, 1, 16) ~= ARGV[7] then return 0 end
redis.call('DEL', KEYS[5])
begin()
if string.sub(held, 46, 46) == 'w' then tell('f', ARGV[6]) end
return 1
