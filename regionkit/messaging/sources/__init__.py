"""Where messages come from and go to; each file is one source, opened by name."""
