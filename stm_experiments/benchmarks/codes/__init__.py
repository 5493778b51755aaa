"""What the codes of small patches tell."""
