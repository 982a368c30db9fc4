"""Fusion of submissions by rank or score, and the search of its weights. Without TensorFlow."""
