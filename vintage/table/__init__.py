"""From a table in a file to rows on three sides: reading, kinds of columns, the split.

Whatever knows CSV, Parquet, cells, categories, twins or groups belongs here. Networks do not: what
leaves this group is numbers and their schema.
"""
