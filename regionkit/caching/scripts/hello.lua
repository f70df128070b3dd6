-- ARGV[6] run of the server, as the connection was told. Another than the account's: a new generation, with nothing of the old
-- Answers generation, clock, number of the news, whether a generation was opened
begin()
local run, opened = redis.call('HGET', account, 'r'), 0
if run == '' then
  redis.call('HSET', account, 'r', ARGV[6])
elseif run ~= ARGV[6] then
  open_generation(ARGV[1], ARGV[6])
  opened = 1
end
return {generation(), digits(clock, 13), redis.call('HGET', account, 'n'), opened}
