"""Runs that are killed and resumed end as if nothing had happened."""
