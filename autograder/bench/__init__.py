"""Benchmarks of whole paths, as commands: numbers side by side in one run, never timed unit tests."""
