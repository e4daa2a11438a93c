"""The pages of the API keys."""
