"""What codes know of the crystal: the tables of docs/latent.md."""
