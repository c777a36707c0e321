"""One module per command: it reads options and prints; the work is done in the rooms below."""
