"""What the hooks refuse, keep and make."""
