-- The entry of the key as the buffer has it, or ''
begin()
local record = buffered(KEYS[4])
return record and stamped(entry_of(record), digits(redis.call('HGET', account, 'q'), 16)) or ''
