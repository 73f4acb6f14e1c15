"""Light in worlds: lamps, path tracing, and how pictures are exposed."""
