"""What stands about in streets, courts, gardens and fields: each seed has its own make and colour.

Each stands on the ground at its origin; what has a front looks towards +x. Equal arguments give the same object: a
town of a thousand lamps holds a few.
"""
