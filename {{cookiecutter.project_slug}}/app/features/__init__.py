"""One folder for each feature: `routes`, `schemas`, `service` and `models`."""
