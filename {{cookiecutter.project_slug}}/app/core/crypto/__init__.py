"""One secret, many keys; and what is sealed with them."""
