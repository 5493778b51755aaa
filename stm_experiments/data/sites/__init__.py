"""Patches around the sites of a lattice."""
