"""The databases that tests run on, and what stands in their tables."""
