"""Planning inside a model of the world, and judging drivers in the true simulator."""
