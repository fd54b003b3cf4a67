"""Writes a model as one ONNX file and checks it."""
