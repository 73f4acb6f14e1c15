"""Drives through towns as a data set."""
