"""What each codec costs one teacher in bytes and in truth, measured on a pilot; which to take, what the dump takes."""
