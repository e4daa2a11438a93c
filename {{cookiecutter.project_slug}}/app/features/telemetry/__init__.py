"""Traces and crash reports, for servers of others: nothing of a request leaves but its route and its status."""
