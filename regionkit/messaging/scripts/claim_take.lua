-- KEYS[1] the record. ARGV owner, fingerprint, lease and life beyond it in milliseconds, '1' where it is calling at once
-- Answers {'w', fence, was}, {'b', milliseconds left, state}, {'d', result or nil}, {'m'}: claim.py, rules 1 to 4
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 's', 'f', 'l', 'h', 'o', 'w')
local state, left = found[1], tonumber(found[3] or '0') - now
local held = state == 'c' or state == 'k'
if held or (state == 'd' and left > 0) then
  if found[4] ~= '' and ARGV[2] ~= '' and found[4] ~= ARGV[2] then return {'m'} end
  if not held then return {'d', redis.call('HGET', KEYS[1], 'r')} end
  if left > 0 then
    if found[5] == ARGV[1] then return {'w', found[2], found[6]} end
    return {'b', left, state}
  end
end
local was = held and state or ''
local fence = tonumber(found[2] or '0') + 1
if found[1] then redis.call('HDEL', KEYS[1], 'r') end
local next = (was == 'k' or ARGV[5] == '1') and 'k' or 'c'
redis.call('HSET', KEYS[1], 's', next, 'f', fence, 'l', now + ARGV[3], 'h', ARGV[2], 'o', ARGV[1], 'w', was)
redis.call('PEXPIRE', KEYS[1], ARGV[3] + ARGV[4])
return {'w', fence, was}
