"""What `deploy/` and the README have for production."""
