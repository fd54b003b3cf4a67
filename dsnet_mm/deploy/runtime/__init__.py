"""Runs an exported file: onnxruntime, numpy and OpenCV alone."""
