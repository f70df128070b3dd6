-- Puts a tombstone under an idempotency key, unless a write stands there.
-- KEYS: marker. ARGV: attempt, fingerprint, time to live in ms.
-- Returns 1 when a write stands there, else 0.
-- Why: a tombstone that stands is replaced, so that an attempt that had seen the old one, and is still on its way, is kept
-- from committing.
if redis.call('HGET', KEYS[1], 'applied') ~= '1' then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'applied', '0', 'attempt', ARGV[1], 'fingerprint', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 0
end
return 1
