"""What every part of the service stands on: settings, keys, logging, errors, events, limits, mail, the database."""
