"""Classical filters and principal components, with the signature of a network."""
