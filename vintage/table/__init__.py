"""From a table in a file to train, validation and test rows: reading, kinds of columns, the split.

Everything about CSV, Parquet, cells or twins belongs here. Networks do not: this group produces
numbers and their schema.
"""
