-- Stands before the prelude: the miss of one key of which nothing is kept but perhaps a floor. It makes no functions, which take a
-- server longer than all else here. What is not so plain breaks off before anything is done, and goes on to the whole script.
-- Commands and texts are those of fill_begin.lua, and of begin() in the prelude.
repeat
  local account, lease, digest = KEYS[1], KEYS[5], ARGV[7]
  if #KEYS ~= 5 or ARGV[5] >= '2' then break end
  local at = redis.call('TIME')
  local wall = at[1] * 1000 + math.floor(at[2] / 1000)
  local known = redis.call('HMGET', account, 'g', 'c', 'w', 'o', 'q', 'i' .. digest, 'f' .. digest, 't*')
  local generation, text, gone, own, common = known[1], known[2], wall - (known[3] or 0), known[7], known[8]
  if not generation or known[6] then break end
  local clock = tonumber(text)
  if gone ~= 0 then
    clock = clock + math.max(0, math.min(1000, gone))
    text = string.format('%013.0f', clock)
  end
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not first[1] or tonumber(first[2]) <= clock then break end
  if redis.call('GETRANGE', KEYS[4], 0, 0) ~= '' then break end
  local floor = own and string.sub(own, 17, 43) or '000000000000000000000000000'
  if common and string.sub(common, 17, 43) > floor then floor = string.sub(common, 17, 43) end
  local stamp, only = string.format('%016.0f', known[5] + 1), clock < tonumber(known[4]) and 1 or 0
  local held = ARGV[8] .. stamp .. string.format('%013.0f', clock + ARGV[6]) .. '-' .. only .. floor .. generation
  local answer = redis.pcall('SET', lease, held, 'NX', 'PX', ARGV[6])
  if not answer or answer.err then break end  -- another has it, or there is no room
  if gone == 0 then
    redis.call('HSET', account, 'q', known[5] + 1)
  else
    redis.call('HSET', account, 'q', known[5] + 1, 'c', text, 'w', string.format('%013.0f', wall))
  end
  do return {generation, text, {'load', ARGV[8], stamp, floor, only}} end
until true

