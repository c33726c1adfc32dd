"""A trained model applied to new rows: from the shell, from Python, or exported.

What only `vintage predict`, `vintage export` and `vintage.load` need belongs here. What a stage
uses does not: no stage depends on this group.
"""
