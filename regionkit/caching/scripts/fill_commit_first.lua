-- Stands before the prelude: what was loaded for one key, without tags or intents, and surely above its floors. It makes no
-- functions, which take a server longer than all else here. What is not so plain breaks off before anything is done, and goes on to
-- the whole script. Commands and texts are those of fill_commit.lua, and of begin() in the prelude; but the value comes before the
-- lease goes: where there is no room it is refused, as nothing was deleted before.
repeat
  local account, lease, digest, entry = KEYS[1], KEYS[5], ARGV[6], ARGV[11]
  if #KEYS ~= 5 or string.sub(entry, 119, 120) ~= '00' then break end
  local held = redis.call('GET', lease)
  if not held or string.sub(held, 1, 16) ~= ARGV[7] or string.sub(held, 46, 46) == 'w' then break end
  local at = redis.call('TIME')
  local wall = at[1] * 1000 + math.floor(at[2] / 1000)
  local known = redis.call('HMGET', account, 'g', 'c', 'w', 'o', 'i' .. digest, 'f' .. digest, 't*')
  local generation, text, gone = known[1], known[2], wall - (known[3] or 0)
  if not generation or known[5] then break end
  local clock = tonumber(text)
  if gone ~= 0 then
    clock = clock + math.max(0, math.min(1000, gone))
    text = string.format('%013.0f', clock)
  end
  local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
  if not first[1] or tonumber(first[2]) <= clock then break end
  if string.sub(held, 75, 82) ~= generation or tonumber(string.sub(held, 33, 45)) <= clock then break end
  local stamp, own, common, owner = string.sub(held, 17, 32), known[6] or '', known[7] or '', ARGV[10] == '1'
  if stamp <= string.sub(own, 1, 16) or stamp <= string.sub(common, 1, 16) then break end
  local plain = owner or (string.sub(held, 47, 47) == '0' and clock >= tonumber(known[4]))
  for _, floor in ipairs({string.sub(held, 48, 74), string.sub(own, 17, 43), string.sub(common, 17, 43)}) do
    local kind = string.sub(floor, 1, 1)
    plain = plain and kind ~= '8' and (owner or floor == '' or floor == '000000000000000000000000000')
  end
  if not plain then break end
  local soft, hard = string.sub(entry, 80, 92), string.sub(entry, 93, 105)
  local soft_at = string.format('%013.0f', clock + soft)
  local hard_at = soft == hard and soft_at or string.format('%013.0f', clock + hard)
  local stored = string.sub(entry, 1, 27) .. generation .. stamp .. string.sub(entry, 52, 79) .. soft_at .. hard_at .. text
    .. string.sub(entry, 119)
  if redis.pcall('SET', KEYS[4], stored, 'PX', ARGV[12]).err then break end
  redis.call('DEL', lease)
  if gone ~= 0 then redis.call('HSET', account, 'c', text, 'w', string.format('%013.0f', wall)) end
  do return {generation, text, 'stored'} end
until true

