"""Tip, motion, scan and detector."""
