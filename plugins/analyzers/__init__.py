"""Analysis modules."""
