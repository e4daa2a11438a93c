"""The authorization code flow: what a browser asks for, what its user consents to, and the code that a client gets."""
