"""Replicas under load, updates and faults: real processes, PostgreSQL, Valkey, SMTP and Caddy."""
