"""Providers: an honest one, one that lies, GitHub, and one that others wrote."""
