"""What every other group stands on: parameters, file formats, errors, the start of a stage.

What belongs here is needed by several groups and knows none of them. Every stage depends on this
group, so a rule, a computation, or what a single group needs does not belong here.
"""
