"""Tests of `app/features/pages/`."""
