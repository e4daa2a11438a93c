"""What `scripts/` does for whoever works on the template."""
