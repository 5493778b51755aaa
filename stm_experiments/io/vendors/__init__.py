"""One reader for each microscope format."""
