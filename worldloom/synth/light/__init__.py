"""Light in worlds: skies, lamps, path tracing, and how pictures are exposed."""
