"""Forecasts of 4D occupancy and the metrics that judge them."""
