"""Codes of networks: what they know about lattice and orientation."""
