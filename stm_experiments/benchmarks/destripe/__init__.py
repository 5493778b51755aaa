"""How well lost and shifted lines are repaired."""
