"""A trained model over much data: predictions, embeddings, evaluation, export."""
