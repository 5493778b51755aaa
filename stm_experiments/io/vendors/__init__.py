"""Readers of microscope formats, one module each; ``traces`` lists the images of a file."""
