"""Servers that others wrote, which the service stands behind or connects to."""
