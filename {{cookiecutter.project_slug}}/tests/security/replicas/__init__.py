"""Several replicas of the service on one database."""
