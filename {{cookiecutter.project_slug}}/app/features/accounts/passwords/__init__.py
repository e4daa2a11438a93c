"""Passwords: what is accepted, how they are hashed, and the current one asked for again."""
