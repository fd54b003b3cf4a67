"""From the outputs of each family of detectors to boxes, as a graph."""
