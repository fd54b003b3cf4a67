"""Runs exported files; needs only onnxruntime, NumPy and OpenCV."""
