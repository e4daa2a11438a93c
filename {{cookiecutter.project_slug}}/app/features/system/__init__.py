"""Health, service information and the API description."""
