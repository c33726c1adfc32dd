"""How a network is trained: the loop, its optimizer, the rules of `auto`, resuming.

Networks themselves belong into `network`, and scores of what was trained into `scores`.
"""
