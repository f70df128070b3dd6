-- Add entries in order, and stop at the first that is refused. KEYS: stream, fences.
-- ARGV: name of the fence ("": none), its epoch, most entries of the stream (0: any), then bodies. {added, why not the next}
if ARGV[1] ~= '' then
  local newest, epoch = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0'), tonumber(ARGV[2])
  if epoch < newest then return {0, 'FENCED ' .. newest} end
  if epoch > newest then
    local raised = redis.pcall('HSET', KEYS[2], ARGV[1], ARGV[2])
    if type(raised) == 'table' then return {0, raised.err} end
  end
end
local most, length = tonumber(ARGV[3]), redis.pcall('XLEN', KEYS[1])
if type(length) == 'table' then return {0, length.err} end
for at = 4, #ARGV do
  if most > 0 and length + at - 3 > most then return {at - 4, 'FULL'} end
  local added = redis.pcall('XADD', KEYS[1], '*', 'rk', ARGV[at])
  if type(added) == 'table' then return {at - 4, added.err} end
end
return {#ARGV - 3, ''}
