"""How the scene half's generator learns."""
