"""Atoms, lattice vectors, sites, strain and point defects of an image."""
