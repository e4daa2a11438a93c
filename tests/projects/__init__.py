"""Rendered projects, installed and run."""
