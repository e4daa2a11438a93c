"""Security events: their names, and their way to the log and to the audit trail."""
