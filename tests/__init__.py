"""Tests; run by `pytest` from the root of the repository."""
