"""Every sign-in as one row that can be listed and ended."""
