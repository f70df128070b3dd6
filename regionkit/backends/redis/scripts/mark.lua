-- Writes into the data how far they have come, unless the last mark says all there is, or is younger than a moment.
-- KEYS: mark. ARGV: replication id, milliseconds of a moment.
-- Returns the offset that is marked; 0 where the server stands elsewhere by now.
-- Why: an append-only file brings the data back and no replication id, so that only the data can say how much of them is there.
local info = redis.call('INFO', 'replication')
local at = tonumber(string.match(info, 'master_repl_offset:(%d+)'))
if not string.find(info, 'role:master', 1, true) or string.match(info, 'master_replid:(%x+)') ~= ARGV[1] then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local id, marked, when, size = string.match(redis.call('GET', KEYS[1]) or '', '(%x+) (%d+) (%d+) (%d+)')
if id == ARGV[1] then
  local moved = at - tonumber(marked)
  -- the mark itself, alone or behind a SELECT, is no news
  if moved == tonumber(size) or moved == tonumber(size) + 23 then return tonumber(marked) end
  if now >= tonumber(when) and now - tonumber(when) < tonumber(ARGV[2]) then return tonumber(marked) end
end
local function bulk(text) return #tostring(#text) + #text + 5 end
local head = string.format('%s %d %d ', ARGV[1], at, now)
local length = #head + 3
local sent = 4 + bulk('SET') + bulk(KEYS[1]) + #tostring(length) + length + 5
redis.call('SET', KEYS[1], string.format('%s%03d', head, sent))
return at
