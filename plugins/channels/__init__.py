"""Channel modules."""
