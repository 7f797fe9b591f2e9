"""What is true of the real data, and whether a monitor finds it."""
