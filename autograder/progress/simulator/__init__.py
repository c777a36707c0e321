"""Cohorts with known abilities, every engine and naive rule on them, and the tracker's numbers with their Monte-Carlo error.

The pieces: made-up cohorts (cohort), the rules that are compared (rules), broken checks (breakage), one replication (replicate),
kept in a folder (shelf), and many (study); what is measured of them (metrics, calibration, number) and put in rows (numbers);
what needs no cohort (agreement, speed, rebuilding, standing); the table, JSON, plots and what is published (table, plots,
published).
"""
