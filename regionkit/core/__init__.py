"""Words that all rooms share: time, deadlines, retries, ids, codec, events, concurrency. Imports no other room but errors."""
