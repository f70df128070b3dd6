"""What takes part in a global transaction, one module a server."""
