"""What several rooms speak of and no room owns, as frozen values: no I/O, no clock, no randomness."""
