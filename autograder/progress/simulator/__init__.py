"""Cohorts with known abilities, every engine and naive rule on them, and the tracker's numbers with their Monte-Carlo error.

The pieces: made-up cohorts (cohort), the rules that are compared (rules), broken checks (breakage), one replication (replicate),
kept in a folder (shelf), and many (study); a cohort's log, rebuilt (rebuilding). What is measured of them is in `numbers`.
"""
