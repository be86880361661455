"""Simulated damage."""
