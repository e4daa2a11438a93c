"""Sessions of browsers: an opaque cookie in the browser, what it stands for sealed in the database."""
