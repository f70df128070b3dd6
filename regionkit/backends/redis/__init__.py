"""The Redis and Valkey backend.

| file | what is there |
|---|---|
| `endpoint_async.py` | the whole as routing sees it |
| `checkout_async.py` | one connection in the hands of one block |
| `handle_async.py` | what a block does at its endpoint; to the driver's own objects, the pool |
| `client_async.py` | what the user types with: a client and a pipeline bound to their block |
| `records_async.py` | small versioned rows: one key a record, one script a change |
| `observation.py` | what INFO and the history key say of a server; when a promotion is proved. Pure |
| `classify.py` | what an error says of the endpoint and of what was sent. Pure |
| `capabilities.py` | what this backend can do. A value |
| `pool_async.py` | the bounded pool, questions of regionkit's own, the monitor's connection |
| `block_connection_async.py` | a connection in a block: what may be sent, what was acknowledged, where the last write lies |
| `stream_async.py`, `stream.py` | a driver connection whose waits end at a deadline: hand-written pair |
| `connection_settings.py`, `own_client_async.py` | what a connection is made with: from a URL, from an own client |
| `client_settings.py` | what the clients of all blocks have in common. A value |
| `keyed_async.py`, `replies.py` | keyed writes: a pipeline that runs as one script with its marker; its replies |
| `commands.py` | what a command does: reads, writes, changes its connection; where its keys stand. Pure |
| `script_async.py`, `lua.py`, `scripts/` | Lua from files, run by its digest |
"""
