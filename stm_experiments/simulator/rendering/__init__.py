"""From atoms to pixels."""
