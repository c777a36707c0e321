"""A lesson and its solution in, nbgrader notebooks and release/ out."""
