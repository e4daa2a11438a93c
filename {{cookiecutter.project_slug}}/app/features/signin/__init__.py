"""Signing in: passwords against tokens, refresh families, revocation."""
