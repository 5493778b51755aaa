"""How well whole images are denoised."""
