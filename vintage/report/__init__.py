"""One model against another: paired differences and how sure they are, figures, checks, the report.

Text and figures for people belong here. Scores belong in `scores`; code that reads other revisions
belongs in `repository`.
"""
