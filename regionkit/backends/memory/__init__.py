"""Stores in this process, for tests of applications: the same routing, the same errors, and no server."""
