"""Pages for everybody, and the description of the API."""
