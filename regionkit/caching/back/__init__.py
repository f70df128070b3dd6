"""Write-back: `put` answers when a server holds the value; the row follows. What is promised stands in `rules`."""
