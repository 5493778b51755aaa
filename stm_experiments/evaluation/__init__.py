"""A trained network on held-out images: scores, figures, sites."""
