"""Who may do what: permissions, roles, policies and the route class that enforces them."""
