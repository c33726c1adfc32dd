"""How a network is trained: the loop, the optimizer, the rules of `auto`, resuming.

Networks belong in `network`, scores in `scores`. Text for people belongs elsewhere, because each
edit here trains again.
"""
