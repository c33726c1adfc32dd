"""New rows: a trained model from wherever it lies, its predictions for any table, its export.

No stage imports from here. What the stages need of a network belongs into `network`.
"""
