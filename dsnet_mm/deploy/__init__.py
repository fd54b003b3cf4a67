"""One ONNX file from the full-size image to boxes or a label map.

:mod:`dsnet_mm.deploy.export` writes such a file, and needs PyTorch and OpenMMLab's packages;
:mod:`dsnet_mm.deploy.session` and :mod:`dsnet_mm.deploy.predict` run it, and need onnxruntime,
numpy and OpenCV alone.
"""
