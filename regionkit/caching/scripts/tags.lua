-- Answers generation, clock, then for each digest from ARGV[6] on the stamp of the tag's floor, or '' where there is none
begin()
local out = {generation(), digits(clock, 13)}
for at = 6, #ARGV do out[#out + 1] = string.sub(redis.call('HGET', account, 't' .. ARGV[at]) or '', 1, 16) end
return out
