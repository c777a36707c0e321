"""The tracker's nine numbers: replicates in; statistics with Monte-Carlo errors, rows, table, plots and what is published out.

Of cohorts: what is measured (metrics, calibration), with errors (number), as rows with targets (rows). Of no cohort: agreement
with R's mirt (agreement, reference/), CPU seconds (speed); these and rebuilt flags as rows (standing). All of it as text and
JSON (table), as drawings (plots), and in the README (published).
"""
