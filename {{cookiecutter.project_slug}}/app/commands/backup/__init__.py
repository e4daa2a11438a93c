"""`manage backup` and `manage restore`."""
