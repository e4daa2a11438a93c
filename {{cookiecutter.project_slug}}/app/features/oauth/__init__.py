"""OAuth 2 for applications: their registration, and the endpoints that they get, check and revoke tokens at."""
