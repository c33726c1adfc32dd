"""From a table in a file to rows on three sides: reading, kinds of columns, groups, the split.

All that knows about CSV, Parquet, cells or twins belongs here. Networks do not: numbers and their
schema are what leaves this group.
"""
