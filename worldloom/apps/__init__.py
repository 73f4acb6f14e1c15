"""Thin compositions for people: command line, web page, benchmarks."""
