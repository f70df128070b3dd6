-- KEYS[1] the record, then one key a command. ARGV owner, fingerprint, keep and life in milliseconds, '1' to go on where a
-- claim has lapsed, number of commands; then for each:
-- its name, the type that its key has to have ('' for any), what has to be a number there ('', 'value' or 'field'), how many
-- arguments, and those behind the key. All is looked at before anything is done; the record is written last.
-- Answers {'w'}, {'d'}, {'m'}, {'b'}, {'t'}: a claim has lapsed, {'k'}: it was done in part, {'r', which, why}: nothing was done; {'e', which, why}: those before it were
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('HMGET', KEYS[1], 's', 'f', 'l', 'h')
local state, left = found[1], tonumber(found[3] or '0') - now
local held = state == 'c' or state == 'k'
if held or (state == 'd' and left > 0) then
  if found[4] ~= '' and ARGV[2] ~= '' and found[4] ~= ARGV[2] then return {'m'} end
  if not held then return {'d'} end
  if left > 0 then return {'b'} end
  if state == 'k' then return {'k'} end
  if ARGV[5] ~= '1' then return {'t'} end
end
local commands, at = {}, 7
for n = 1, tonumber(ARGV[6]) do
  local key, name, kind, number, count = KEYS[n + 1], ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local words = {name, key}
  for i = 1, count do words[i + 2] = ARGV[at + 3 + i] end
  at = at + 4 + count
  local is = redis.call('TYPE', key).ok
  if kind ~= '' and is ~= 'none' and is ~= kind then
    return {'r', n, key .. ' is a ' .. is}
  end
  if number ~= '' and is ~= 'none' then
    local value
    if number == 'field' then value = redis.call('HGET', key, words[3]) else value = redis.call('GET', key) end
    if value and not (string.match(value, '^%-?%d+$') and #value <= 16) then
      return {'r', n, key .. ' holds no number of at most 15 digits'}
    end
  end
  commands[n] = words
end
for n, words in ipairs(commands) do
  local reply = redis.pcall(unpack(words))
  if type(reply) == 'table' and reply.err then
    if n == 1 then return {'r', n, reply.err} end
    redis.call('HSET', KEYS[1], 's', 'k', 'f', (tonumber(found[2] or '0')) + 1, 'l', 0, 'h', ARGV[2], 'o', '', 'w', '')
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
    return {'e', n, reply.err}
  end
end
redis.call('HDEL', KEYS[1], 'r')
redis.call('HSET', KEYS[1], 's', 'd', 'f', tonumber(found[2] or '0') + 1, 'l', now + ARGV[3], 'h', ARGV[2], 'o', ARGV[1], 'w', '')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'w'}
