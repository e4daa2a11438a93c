"""The pages of the sample vault."""
