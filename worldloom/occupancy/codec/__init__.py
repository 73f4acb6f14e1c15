"""The code stream of a clip, part by part. Every part is one function that reads and writes: see `entropy`."""
