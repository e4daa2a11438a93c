"""The log: one line for each event, without secrets, and written by a thread."""
