"""Comparing parts: grids, measurements and reports."""
