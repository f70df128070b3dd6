-- Runs the commands of a keyed write, together with the marker of its key.
-- KEYS: marker, then every key of the commands.
-- ARGV: attempt of the tombstone seen ("" for none), attempt, fingerprint, time to live in ms, stored result ("" for none),
-- shapes of the replies ("" for not to keep them), bytes kept at most, number of commands, then for each the count of its
-- words, and its words.
-- Returns {'done', replies}, {'taken'}, {'denied', commands that the account may not give there} or {'failed', number of the
-- command, error}.
-- Why: effect and marker stand or fall together. A command that fails ends the script. Was it the first, nothing was done,
-- and the key is left as it was; else what ran before it stays, so the marker stands too: the key is used. A server that is
-- out of memory lets a script that has written go on to its end, so the marker comes with the effect there too. Whether the
-- account may write the marker is asked first (Redis 7 and later): else the effect would stand without it.
local marker = redis.call('HMGET', KEYS[1], 'applied', 'attempt')
if marker[1] == '1' or (marker[1] == '0' and marker[2] ~= ARGV[1]) then return {'taken'} end

local denied = {'denied'}
for _, words in ipairs({{'DEL', KEYS[1]}, {'HSET', KEYS[1], '', ''}, {'PEXPIRE', KEYS[1], '1'}}) do
  if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(words)) then denied[#denied + 1] = words[1] end
end
if denied[2] then return denied end

local function packed(reply)
  if reply == false then return '$-1\r\n' end
  if type(reply) == 'number' then return ':' .. string.format('%.0f', reply) .. '\r\n' end
  if type(reply) == 'string' then return '$' .. #reply .. '\r\n' .. reply .. '\r\n' end
  if reply.ok then return '+' .. reply.ok .. '\r\n' end
  local parts = {'*' .. #reply .. '\r\n'}
  for place, part in ipairs(reply) do parts[place + 1] = packed(part) end
  return table.concat(parts)
end

local replies, failed, at = {}, false, 9
for number = 1, tonumber(ARGV[8]) do
  local count = tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, at + count))
  if type(reply) == 'table' and reply.err then
    failed = {'failed', number, reply.err}
    if number == 1 then return failed end
    break
  end
  replies[number] = reply
  at = at + count + 1
end

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'applied', '1', 'attempt', ARGV[2], 'fingerprint', ARGV[3])
if not failed and ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'result', ARGV[5])
elseif not failed and ARGV[6] ~= '' then
  local text = ''
  for _, reply in ipairs(replies) do text = text .. packed(reply) end
  if #text <= tonumber(ARGV[7]) then redis.call('HSET', KEYS[1], 'replies', text, 'shapes', ARGV[6]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return failed or {'done', replies}
