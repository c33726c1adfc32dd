"""What is trained: the networks, the encoding of their inputs, and the checkpoint.

Each network belongs here, in a file of its own. How it is trained belongs in `training`. Text for
people belongs elsewhere, because each edit here trains again.
"""
