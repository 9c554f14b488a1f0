"""Changes of pixels in integers, whole batches at a time, each row with its own parameters; on any device."""
