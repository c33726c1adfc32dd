"""How good predictions are: the metrics, their intervals, the baselines, the files that hold them.

What concerns one model's scores belongs here. Differences between models, figures and sentences
belong into `report`.
"""
