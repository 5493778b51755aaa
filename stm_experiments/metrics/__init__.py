"""Measures of patches and whole images, and tables of scores with intervals."""
