"""Stores in a bucket: listed there, copied to this machine to be read, and put there whole."""
