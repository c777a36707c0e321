"""Item response theory: first tries as ordered levels in; items, abilities and how sure they are out. Numpy and scipy only.

The pieces: items as curves (gpcm), the grid and its rules of integration (grid), exact sums over the tree of person, track
and notebook (tree), everything fitted from one cohort or against a bank (hierarchy, with the theory of operation), items that
last (bank), and items that no longer measure what they did (drift).
"""
