"""Baselines: fixed interpolation and published learned resizers."""
