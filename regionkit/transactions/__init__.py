"""All or none over several databases: two-phase commit with a durable decision log and recovery."""
