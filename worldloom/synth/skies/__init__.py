"""What is over and around the worlds: procedural skies with sun and clouds, and skies from panoramas."""
