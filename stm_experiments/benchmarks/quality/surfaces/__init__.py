"""Surfaces that no training sees, each a pure function of a random stream and a shape."""
