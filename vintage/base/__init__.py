"""What every other group stands on: parameters, the formats of the small files and tensors, errors,
the environment that a run needs.

What belongs here is used by several groups and knows none of them. A change here reruns every
stage, so what only one group needs does not belong here, nor does any rule or computation.
"""
