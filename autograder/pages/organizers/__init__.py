"""The organizers' and mentors' views: a survey, a ledger's answers and a policy in, one page each out.

overview (a cohort at a glance), profile (one student), flags (whom to look at, and what inviting them would mean), comparison
(cohorts on one scale), calibration (do chances come true, and for whom), datasets (exports with a dictionary), mentees.
"""
