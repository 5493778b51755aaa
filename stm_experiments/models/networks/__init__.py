"""Networks that are trained, one per file."""
