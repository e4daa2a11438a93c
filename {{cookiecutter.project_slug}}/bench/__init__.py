"""Measures the service against what it is made of: `uv run python -m bench`."""
