"""`worldloom bench NAME`: every number we claim, measured on this machine beside its baseline."""
