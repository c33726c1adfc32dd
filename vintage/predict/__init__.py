"""A trained model applied to new rows: from the shell, from Python, or exported.

Code that only `vintage predict`, `score`, `export`, `card` and `vintage.load` need belongs here. No
stage depends on this group, so code that a stage uses belongs elsewhere.
"""
