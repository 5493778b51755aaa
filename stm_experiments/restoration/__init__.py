"""Scans in, better scans out: preparation, denoising, removal of stripes."""
