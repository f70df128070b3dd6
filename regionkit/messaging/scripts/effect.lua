-- Effects of messages, one after another, each with its record: all of one or nothing of it.
-- ARGV owner, keep and life in milliseconds; then for each message, until they end: its fingerprint, '1' to go on where a claim
-- has lapsed, its number of commands; and for each of those its name, the type that its key has to have ('' for any), what has
-- to be a number there ('', 'value' or 'field'), how many arguments, and those behind the key.
-- KEYS in the same order: a record, then one key a command. All of a message is looked at before anything of it is done; its
-- record is written last. The first command is done or refused by the server itself, with nothing done before it: only SET,
-- which takes a key of any type, is looked at.
-- Answers a list: {'w'}, {'d'}, {'m'}, {'b'}, {'t'}: a claim has lapsed, {'k'}: it was done in part, {'r', which, why}: nothing
-- was done; {'e', which, why}: those before it were
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local owner, ends, life = ARGV[1], now + ARGV[2], ARGV[3]

local function told(record, found, fingerprint, lapsed)
  local state, left = found[1], tonumber(found[3] or '0') - now
  local held = state == 'c' or state == 'k'
  if not held and (state ~= 'd' or left <= 0) then return nil end
  if found[4] ~= '' and fingerprint ~= '' and found[4] ~= fingerprint then return {'m'} end
  if not held then return {'d'} end
  if left > 0 then return {'b'} end
  if state == 'k' then return {'k'} end
  if lapsed ~= '1' then return {'t'} end
end

local function refused(words)
  local key, kind, number = words[2], words.kind, words.number
  if kind == '' and number == '' then return nil end
  local is = redis.call('TYPE', key).ok
  if is == 'none' then return nil end
  if kind ~= '' and is ~= kind then return key .. ' is a ' .. is end
  if number ~= '' then
    local value
    if number == 'field' then value = redis.call('HGET', key, words[3]) else value = redis.call('GET', key) end
    if value and not (string.match(value, '^%-?%d+$') and #value <= 16) then
      return key .. ' holds no number of at most 15 digits'
    end
  end
end

local function done(record, found, fingerprint, commands)
  local fence = tonumber(found[2] or '0') + 1
  for n, words in ipairs(commands) do
    local reply = redis.pcall(unpack(words))
    if type(reply) == 'table' and reply.err then
      if n == 1 then return {'r', n, refused(words) or reply.err} end
      redis.call('HSET', record, 's', 'k', 'f', fence, 'l', 0, 'h', fingerprint, 'o', '', 'w', '')
      redis.call('PEXPIRE', record, life)
      return {'e', n, reply.err}
    end
  end
  if found[5] then redis.call('HDEL', record, 'r') end
  redis.call('HSET', record, 's', 'd', 'f', fence, 'l', ends, 'h', fingerprint, 'o', owner, 'w', '')
  redis.call('PEXPIRE', record, life)
  return {'w'}
end

local answers, key, at = {}, 1, 4
while at <= #ARGV do
  local record, fingerprint, lapsed, count = KEYS[key], ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local commands, no = {}, nil
  at = at + 3
  for n = 1, count do
    local words, more = {ARGV[at], KEYS[key + n], kind = ARGV[at + 1], number = ARGV[at + 2]}, tonumber(ARGV[at + 3])
    for i = 1, more do words[i + 2] = ARGV[at + 3 + i] end
    local why = no == nil and (n > 1 or words[1] == 'SET') and refused(words)
    if why then no = {'r', n, why} end
    commands[n], at = words, at + 4 + more
  end
  key = key + count + 1
  local found = redis.call('HMGET', record, 's', 'f', 'l', 'h', 'r')
  answers[#answers + 1] = told(record, found, fingerprint, lapsed) or no or done(record, found, fingerprint, commands)
end
return answers
