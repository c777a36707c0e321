"""Replaying everybody under today's checks: what it would change, what was replayed, and orders that the workers carry out."""
