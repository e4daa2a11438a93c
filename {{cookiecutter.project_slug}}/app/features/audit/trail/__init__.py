"""The chain of rows: how they are made, appended, verified and archived."""
