"""One module for each kind of server; regionkit.testing.servers lists them."""
