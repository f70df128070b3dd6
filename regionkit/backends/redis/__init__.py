"""The Redis and Valkey backend.

| file | what is there |
|---|---|
| `commands.py` | what a command does: reads, writes, changes its connection; where its keys stand. Pure |
| `observing.py` | what INFO and the history key say of a server; when a promotion is proved. Pure |
| `scripts.py` | the Lua scripts: history, markers, placements |
| `classify.py` | what an error says of the endpoint |
| `stream_async.py`, `stream.py` | a driver connection whose waits end at a deadline: hand-written pair |
| `wire_async.py` | that connection in a block: what may be sent, what was acknowledged, where the last write lies |
| `client_async.py` | what the user types with, and the handle behind it |
| `keyed_async.py` | keyed writes: a pipeline that runs as one script with its marker |
| `pool_async.py` | leases, the bounded pool, the monitor's connection |
| `endpoint_async.py` | the whole as routing sees it |
"""
