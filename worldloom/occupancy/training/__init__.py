"""Training of the driving half: examples made once from clips, and one loop that can be stopped at any time."""
