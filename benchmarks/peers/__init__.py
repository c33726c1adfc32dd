"""Vintage's training beside that of others, who do the same work: `python -m benchmarks.peers`."""
