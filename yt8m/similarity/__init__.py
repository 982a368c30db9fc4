"""Embeddings and similarity: files of vectors, their joint projection, nearest neighbours, and annotated pairs."""
