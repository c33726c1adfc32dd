"""Why a trained model does what it does: what it goes by, where it fails, what would help.

What needs the network, or a training, to tell more than scores belongs here. How it is shown
belongs in `report`.
"""
