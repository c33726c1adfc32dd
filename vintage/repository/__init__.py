"""Commands on Git and DVC: compare revisions, search settings, check outputs, mend after a crash.

Code that asks Git or DVC belongs here. No stage depends on this group, so code that a stage uses
belongs elsewhere.
"""
