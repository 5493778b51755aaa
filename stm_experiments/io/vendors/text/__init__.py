"""Readers of images in text files."""
