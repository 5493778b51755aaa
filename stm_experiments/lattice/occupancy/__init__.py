"""Which sites of a lattice hold an atom, judged against the mean cell."""
