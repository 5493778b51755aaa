"""Denoising as a mixture of estimates, by the error that each is expected to have."""
