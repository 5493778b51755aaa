"""Readers of image and microscope files: one file per format, numbers out."""
