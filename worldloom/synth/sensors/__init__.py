"""What a car's LiDAR and cameras record."""
