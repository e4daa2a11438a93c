"""Pages for signing in, for mailed links, and for consent."""
