"""How good one model's predictions are: metrics, intervals, baselines, and the files of scores.

Scores of one model belong here. Differences between models, figures and sentences belong in
`report`.
"""
