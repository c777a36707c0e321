"""Reference solutions, one ordinary module per assignment. Never released."""
