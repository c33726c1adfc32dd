"""How good predictions are: metrics, their intervals, the files that hold them, the baselines.

Comparing two models, and every sentence about a score, belongs into `report`.
"""
