"""What is done to views after they were framed; one file per step, found by its name."""
