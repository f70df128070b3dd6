-- ARGV[6] dirty or parked, [7] cursor, [8] how many, nearly. Answers {next cursor, records, their bytes, those without a due or an age,
-- bytes as the buffer counts them}. True together only while nobody else changes the buffer
begin()
local of = ARGV[6] == 'dirty' and dirty or parked
local page = redis.call('HSCAN', of, ARGV[7], 'COUNT', ARGV[8])
local records, bytes, wrong = 0, 0, 0
for at = 1, #page[2], 2 do
  local name = page[2][at]
  if name ~= '' then
    records, bytes = records + 1, bytes + #page[2][at + 1]
    local whole = redis.call('ZSCORE', due, name) and redis.call('ZSCORE', ages, name)
    if of == dirty and not whole then wrong = wrong + 1 end
  end
end
return {page[1], records, bytes, wrong, tonumber(redis.call('HGET', back, of == dirty and 'b' or 'p') or 0)}
