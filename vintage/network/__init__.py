"""What is trained: the networks, the encoding before their first layer, and the checkpoint.

A network belongs here, in a file of its own. How it is trained belongs into `training`, and no text
for people belongs here, because each edit trains anew.
"""
