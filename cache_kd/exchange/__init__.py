"""Stores as one portable file, and logits that were made elsewhere as stores."""
