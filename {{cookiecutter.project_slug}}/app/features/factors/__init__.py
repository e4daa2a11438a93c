"""Second factors: what else than the password a sign-in asks for."""
