"""Benchmarks of regionkit: one job a file, each against its plain peer. Run all with `python -m benchmarks.run`."""
