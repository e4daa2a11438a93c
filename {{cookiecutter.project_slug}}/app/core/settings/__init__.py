"""What an operator sets: the settings, where they come from, their rules, and what is checked before a deployment."""
