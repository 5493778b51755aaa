"""Every picture that the package can draw, from simulated data, on one page."""
