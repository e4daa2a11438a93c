"""What the template renders, for every set of answers."""
