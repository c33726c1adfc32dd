"""What looks at the repository from outside: revisions, what is stored, whether it is right.

No stage imports from here. Commands such as `vintage check` and `vintage compare` do.
"""
