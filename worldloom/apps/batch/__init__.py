"""Many driving scenarios: planned, made on many workers, verified, filtered, exported and reported.

A scenario is a past, a way for the ego to drive on, and a seed. A batch is a folder with one shard for each scenario.
"""
