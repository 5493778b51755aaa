"""Dock widgets: one per file, each a form around functions that the commands use too."""
