"""Notebook bytes in, `Submission` out. Parsed, never executed."""
