"""Names -> objects: the hook, the table of parts, the plugin loader, and building from text."""
