"""What is told: differences between models and how sure they are, figures, the report.

Text and figures for people belong here. Scores belong into `scores`; what reads other revisions
belongs into `repository`.
"""
