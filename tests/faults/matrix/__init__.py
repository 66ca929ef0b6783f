"""The fault matrix: real backups and restores that are ended, starved, cut off and damaged at random moments.

A trial is a kind of fault, an engine, a format and a seed; it either survives or is lost, with a reason. Run by
`script/faults`, and in a short form by tests/faults/test_matrix.py.
"""
