"""Embeddings of segments and videos, joined and compared. Without TensorFlow."""
