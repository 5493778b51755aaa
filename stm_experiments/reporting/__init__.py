"""Run folders read back, and the page that compares them."""
