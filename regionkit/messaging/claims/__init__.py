"""Claims on each kind of store; `claims_async.py` above says what they promise."""
