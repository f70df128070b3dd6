-- ARGV[6] dirty or parked, [7] cursor, [8] how many, nearly. Answers {clock, next cursor}, then of each: name, record without its
-- entry, time since when the row is behind, tries, reason
begin()
local of = ARGV[6] == 'dirty' and dirty or parked
local page = redis.call('HSCAN', of, ARGV[7], 'COUNT', ARGV[8])
local out = {clock, page[1]}
for at = 1, #page[2], 2 do
  local name, value = page[2][at], page[2][at + 1]
  local since, reason, record = '', '', value
  if name ~= '' then
    if of == dirty then
      since = redis.call('ZSCORE', ages, name)
    else
      since, reason, record = string.sub(value, 1, 13), string.sub(value, 18, 17 + tonumber(string.sub(value, 14, 17))), set_aside(value)
    end
    for _, word in ipairs({name, head_of(record), since or '', redis.call('HGET', tries, name) or '0', reason}) do
      out[#out + 1] = word
    end
  end
end
return out
