"""Trained weights: where they are, and how they come in."""
