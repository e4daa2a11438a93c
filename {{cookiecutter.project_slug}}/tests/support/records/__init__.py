"""What the service writes: its log, its mail and its audit trail."""
