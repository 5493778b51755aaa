"""Plane waves in scans: those of the instrument, and those that a network removed."""
