"""What a backend owes its callers, and what it tells them: Protocols and values. All that routing and the pillars know."""
