-- Acknowledge, extend or give back deliveries that are still the member's: owner and count of deliveries are as they were.
-- ARGV: group, member, "ack", "extend" or "back", idle ms for the last, then id, count, ... in order. How many were.
local key, group, me, what = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local found, own, many, kept = {}, {}, (#ARGV - 4) / 2, 0
local function look(first, last, most)
  local pending = redis.pcall('XPENDING', key, group, first, last, most, me)
  for at = 1, #pending do found[pending[at][1]] = pending[at][4] end  -- no group: nothing is anybody's
end
look(ARGV[5], ARGV[#ARGV - 1], 2 * many)  -- more, where others of this member lie between
for at = 5, #ARGV, 2 do
  local id = ARGV[at]
  if not found[id] and many > 1 then look(id, id, 1) end
  if found[id] == tonumber(ARGV[at + 1]) then
    kept = kept + 1
    own[kept] = id
  end
end
if kept == 0 then return 0 end
if what == 'ack' then return redis.call('XACK', key, group, unpack(own)) end
own[#own + 1] = 'JUSTID'
if what == 'back' then
  own[#own] = 'IDLE'
  own[#own + 1] = ARGV[4]
  own[#own + 1] = 'JUSTID'
end
return #redis.call('XCLAIM', key, group, me, 0, unpack(own))
