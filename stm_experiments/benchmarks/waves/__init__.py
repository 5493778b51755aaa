"""What becomes of plane waves: those of the sample, and those of the instrument."""
