"""What is told: differences between models and how sure they are, figures, the page.

Scores of a single model belong into `scores`, and what reads Git revisions into `repository`.
"""
