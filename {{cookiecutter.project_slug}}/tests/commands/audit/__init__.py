"""`manage audit`."""
