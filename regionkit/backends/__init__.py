"""Backends: how each kind of server is connected to, asked where it stands, and how its errors are read."""
