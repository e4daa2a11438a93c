"""Metrics for Prometheus, on a port of their own."""
