"""The symmetry of a lattice: its Bravais class, and the plane group of what repeats."""
