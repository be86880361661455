"""How fast the toolkit is, each part beside a straightforward version of the published path."""
