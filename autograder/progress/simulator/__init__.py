"""Cohorts with known abilities, every engine and naive rule on them, and the tracker's numbers with their Monte-Carlo error.

The pieces: made-up cohorts (cohort), the rules that are compared (rules), one replication (replicate), what is measured
(metrics), all of it together (study), and the table, JSON and plots (table, plots).
"""
