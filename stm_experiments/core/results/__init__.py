"""The numbers of a run: their names, and what they measure."""
