"""Many runs side by side: the grid, the processes that train it, the table, the page."""
