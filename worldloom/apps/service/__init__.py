"""Drives as sessions: in one process, or over HTTP with a token, limits and a typed client (`worldloom serve`)."""
