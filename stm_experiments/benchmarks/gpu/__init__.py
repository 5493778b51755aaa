"""What a GPU gains: correctness, speed and memory in one script."""
