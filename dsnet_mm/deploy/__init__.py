"""One ONNX file from the full-size image to boxes or a label map.

:mod:`dsnet_mm.deploy.export` writes such a file, and needs PyTorch and OpenMMLab's packages;
:mod:`dsnet_mm.deploy.session` and :mod:`dsnet_mm.deploy.predict` run it, and need onnxruntime,
numpy and OpenCV alone. :mod:`dsnet_mm.deploy.package` has the same graph as a package of PyTorch,
:mod:`dsnet_mm.deploy.torchvision_models` writes torchvision's models.
"""
