"""Steps of the preparation of scans beyond rows and planes."""
