"""The repository seen from outside: its revisions, what is stored in it, whether that is right.

What asks Git or DVC belongs here. What a stage uses does not: no stage depends on this group.
"""
