"""Users: their profile, their password and their administration."""
