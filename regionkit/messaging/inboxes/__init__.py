"""Where a consumer keeps what it has taken; each file is one family, opened by name."""
