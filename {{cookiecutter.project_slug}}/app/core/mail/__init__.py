"""Mail: an outbox in the database, and its delivery by SMTP."""
