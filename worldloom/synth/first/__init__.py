"""The first small generators: one room and one street from solids that are cast analytically."""
