"""Classical filters and PCA, with the signature of a network."""
