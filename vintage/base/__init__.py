"""What several groups need: parameters, errors, the pipeline's own files, the start of a stage.

Code belongs here if several groups need it. Every stage depends on this group, so a rule, a
computation, or what only one group needs belongs elsewhere.
"""
