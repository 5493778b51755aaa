"""Pictures: each function returns a matplotlib `Figure`, which `canvas` saves as PNG."""
