"""Deployment: one ONNX file from the input image to boxes or a label map.

- ``export/`` writes and checks the file; needs PyTorch and OpenMMLab's packages.
- ``decoders/`` turns the raw outputs of detectors into boxes; the functions are part of the file.
- ``runtime/`` runs the file; needs only onnxruntime, NumPy and OpenCV.
- ``evaluation.py`` measures the file with the metrics of its config.
"""
