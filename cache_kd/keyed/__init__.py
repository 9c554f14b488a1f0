"""Randomness and orders that are functions of a key and a position: no generator, no state."""
