"""Whether flows hold together: what is wrong with them, by file, line and key."""
