"""Networks whose codes have a meaning, and their layers."""
