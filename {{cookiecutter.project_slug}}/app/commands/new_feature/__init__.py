"""`manage new-feature`, and the templates of what it writes."""
