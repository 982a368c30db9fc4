"""Ranked segments and their scores: submission files, ratings, metrics, evaluation. Without TensorFlow."""
