"""Passkeys, as their owners and as attackers use them."""
