-- Acknowledge, extend or give back deliveries that are still the member's: owner and count of deliveries are as they were.
-- ARGV: group, member, "ack", "extend" or "back", idle ms for the last, then id, count, ... in order. How many were.
local key, group, me, what = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local ids, wanted, found, own = {}, {}, {}, {}
for at = 5, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
  wanted[ARGV[at]] = tonumber(ARGV[at + 1])
end
local function look(first, last, most)
  local pending = redis.pcall('XPENDING', key, group, first, last, most, me)
  for _, one in ipairs(pending) do found[one[1]] = one[4] end  -- no group: nothing is anybody's
end
look(ids[1], ids[#ids], 2 * #ids)
for _, id in ipairs(ids) do
  if not found[id] and #ids > 1 then look(id, id, 1) end
  if found[id] == wanted[id] then own[#own + 1] = id end
end
if #own == 0 then return 0 end
if what == 'ack' then return redis.call('XACK', key, group, unpack(own)) end
own[#own + 1] = 'JUSTID'
if what == 'back' then
  own[#own] = 'IDLE'
  own[#own + 1] = ARGV[4]
  own[#own + 1] = 'JUSTID'
end
return #redis.call('XCLAIM', key, group, me, 0, unpack(own))
