"""OAuth clients: how they are registered and authenticated."""
