"""Commands that put another `SECRET_KEY` into `.env`."""
