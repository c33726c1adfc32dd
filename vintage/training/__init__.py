"""How a network is trained: the loop, the optimizer, the rules of `auto`, resuming.

Networks belong into `network`, scores into `scores`. No text for people belongs here, because each
edit trains anew.
"""
