"""One autoencoder or image-to-image network per file."""
