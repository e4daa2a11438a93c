"""One module for each `manage` command."""
