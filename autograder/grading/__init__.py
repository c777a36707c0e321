"""A submission and a box in, verdicts out."""
