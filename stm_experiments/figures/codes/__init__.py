"""Pictures of latent codes."""
