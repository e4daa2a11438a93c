"""The commands of `manage`."""
