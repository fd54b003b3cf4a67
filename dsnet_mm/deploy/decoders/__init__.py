"""From the raw outputs of each family of detectors to boxes, as traceable functions."""
