"""These tests need the extra ``export``."""
from importlib.util import find_spec

if not all(map(find_spec, ('onnx', 'onnxruntime', 'onnxscript'))):
    collect_ignore_glob = ['test_*.py']
