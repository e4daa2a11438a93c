"""Bytes and connections that no HTTP client makes, against the real server."""
