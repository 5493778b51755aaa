"""How the steps of a training are taken: by a compiled network, and several in one call."""
