"""How the reconstruction half's networks learn."""
