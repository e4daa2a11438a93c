"""What goes by mail: invitations, registration, recovery, changes of address, and the tokens in them."""
