-- ARGV[6] run of the server; then name, version and digest of records that stand in a journal
-- Answers {opened, epoch}, then of each 'held', 'settled' or 'replay'. What is settled is never put any more
begin()
local good = opened(ARGV[6], '')
if not good then return {0, tonumber(meta.e or 0)} end
local function floor_of(digest) return string.sub(redis.call('HGET', account, 'f' .. digest) or '', 17) end
local function floor_kind(digest) return string.sub(floor_of(digest), 1, 1) end

-- whether a row has shown that version or a later one, or it was discarded: the floor says so, whatever the epoch
local function has_had(digest, version)
  local kind = floor_kind(digest)
  return (kind == '2' or kind == '8') and string.sub(floor_of(digest), 9) >= version
end

local out, asides = {1, tonumber(meta.e)}, meta.p > 0
for at = 7, #ARGV, 3 do
  local name, version, digest = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local record, aside = redis.call('HGET', dirty, name), asides and set_aside(redis.call('HGET', parked, name))
  if (record and version_of(record) >= version) or (aside and version_of(aside) >= version) then
    out[#out + 1] = 'held'
  elseif has_had(digest, version) then
    out[#out + 1] = 'settled'
  elseif tonumber(string.sub(version, 1, 6)) < tonumber(meta.e) then
    out[#out + 1] = 'replay'
  else
    raise('f' .. digest, (floor_kind(digest) == '8' and '8' or '2') .. string.sub(ROW, 2) .. version, floor_life)
    out[#out + 1] = 'settled'
  end
end
trim()
return out
