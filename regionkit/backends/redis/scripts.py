"""The Lua scripts of the backend. Each runs whole or not at all between two other commands of the server.

INFO inside a script tells the offset *before* the script's own effects: a position is asked for after it.
"""

from __future__ import annotations

__all__ = ["RUN_KEYED", "SETTLE", "SET_PLACEMENT", "WRITE_HISTORY"]

WRITE_HISTORY = """
local info = redis.call('INFO', 'replication')
if not string.find(info, 'master_replid:' .. ARGV[3], 1, true) then return 0 end
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
"""
"""KEYS: history. ARGV: parent, row, origin. 0: the parent has a child, or the server stands elsewhere by now."""

SETTLE = """
if redis.call('HGET', KEYS[1], 'applied') ~= '1' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'applied', '0', 'attempt', ARGV[1], 'fingerprint', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 0
end
return 1
"""
"""KEYS: marker. ARGV: attempt, fingerprint, ttl in ms.

A tombstone that stands is replaced: an attempt that had seen the old one, and is still on its way, is kept from committing.
"""

SET_PLACEMENT = """
local stands = redis.call('HGET', KEYS[1], ARGV[1])
local version = 0
if stands then version = cjson.decode(stands)['version'] end
if version ~= tonumber(ARGV[2]) then return stands end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return ARGV[3]
"""
"""KEYS: placements of a store. ARGV: key, expected version, row. The row that stands; nil where none does."""

RUN_KEYED = """
local marker = redis.call('HMGET', KEYS[1], 'applied', 'attempt')
if marker[1] == '1' or (marker[1] == '0' and marker[2] ~= ARGV[1]) then return {'taken'} end

local function packed(reply)
  if reply == false then return '$-1\\r\\n' end
  if type(reply) == 'number' then return ':' .. string.format('%.0f', reply) .. '\\r\\n' end
  if type(reply) == 'string' then return '$' .. #reply .. '\\r\\n' .. reply .. '\\r\\n' end
  if reply.ok then return '+' .. reply.ok .. '\\r\\n' end
  local parts = {'*' .. #reply .. '\\r\\n'}
  for place, part in ipairs(reply) do parts[place + 1] = packed(part) end
  return table.concat(parts)
end

local replies, failed, at = {}, false, 9
for number = 1, tonumber(ARGV[8]) do
  local count = tonumber(ARGV[at])
  local reply = redis.pcall(unpack(ARGV, at + 1, at + count))
  if type(reply) == 'table' and reply.err then
    failed = {'failed', number, reply.err}
    if number == 1 then return failed end
    break
  end
  replies[number] = reply
  at = at + count + 1
end

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'applied', '1', 'attempt', ARGV[2], 'fingerprint', ARGV[3])
if not failed and ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'result', ARGV[5])
elseif not failed and ARGV[6] ~= '' then
  local text = ''
  for _, reply in ipairs(replies) do text = text .. packed(reply) end
  if #text <= tonumber(ARGV[7]) then redis.call('HSET', KEYS[1], 'replies', text, 'shapes', ARGV[6]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return failed or {'done', replies}
"""
"""KEYS: marker, then every key of the commands. ARGV: attempt of the tombstone seen ("" for none), attempt, fingerprint, ttl in
ms, stored result ("" for none), shapes of the replies ("" for not to keep them), bytes kept at most, number of commands,
then for each the count of its words, and its words.

A command that fails ends the script. Was it the first, nothing was done, and the key is left as it was; else what ran
before it stays, so the marker stands too: the key is used. A server that is out of memory lets a script that has written
go on to its end, so the marker comes with the effect there too.
"""
