"""One ONNX file from the input image to boxes or a label map.

``export/`` writes the file and checks it, with what ``decoders/`` knows of each family of
detectors; both need PyTorch and OpenMMLab's packages. ``runtime/`` runs the file, and needs
onnxruntime, numpy and OpenCV alone.
"""
