"""What is trained: the networks, what stands in front of their first layer, and the checkpoint.

How they are trained (losses by epoch, steps, early stopping) belongs into `training`.
"""
