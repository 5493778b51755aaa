"""Crystals: cuts through bulk lattices, flat lattices, and the registry of their names."""
