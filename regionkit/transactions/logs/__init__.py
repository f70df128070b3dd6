"""Where decisions are kept."""
