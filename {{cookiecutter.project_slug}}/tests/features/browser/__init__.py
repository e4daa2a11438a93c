"""Tests of `app/features/browser/`."""
