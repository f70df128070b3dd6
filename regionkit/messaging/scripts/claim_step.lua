-- KEYS[1] the record. ARGV step, owner, fence, lease or keep and life beyond it in milliseconds; a result, where there is one
-- Answers 1 where the step was made: claim.py, rule 5
local found = redis.call('HMGET', KEYS[1], 's', 'f', 'o')
local state, step = found[1], ARGV[1]
if found[2] ~= ARGV[3] or found[3] ~= ARGV[2] then return 0 end
if state ~= 'c' and state ~= 'k' and not (state == 'd' and step == 'complete') then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local key = KEYS[1]
if step == 'call' then
  redis.call('HSET', key, 's', 'k')
  return 1
end
if step == 'renew' then
  redis.call('HSET', key, 'l', now + ARGV[4])
elseif step == 'complete' then
  if ARGV[6] then
    redis.call('HSET', key, 's', 'd', 'l', now + ARGV[4], 'r', ARGV[6])
  else
    redis.call('HSET', key, 's', 'd', 'l', now + ARGV[4])
    redis.call('HDEL', key, 'r')
  end
elseif step == 'release' then
  redis.call('HSET', key, 's', 'f', 'l', 0)
else
  redis.call('HSET', key, 's', 'k', 'l', 0, 'o', '')
end
redis.call('PEXPIRE', key, (step == 'complete' and 0 or ARGV[4]) + ARGV[5])
return 1
