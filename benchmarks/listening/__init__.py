"""Listening tests: pages for listeners, and what came of their answers."""
