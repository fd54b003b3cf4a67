"""A small exported segmenter, written by hand."""
from pathlib import Path

from dsnet_mm.deploy.export.precision import SCOPES
from dsnet_mm.deploy.runtime.metadata import Metadata

import numpy as np
import onnx
from onnx import numpy_helper

# Two convolutions of the model between one of the preprocessor and the decoding.
MODEL = """
<ir_version: 10, opset_import: ["" : 19]>
segmenter (uint8[batch, height, width, 3] images)
    => (uint8[batch, height, width] labels, float[batch, 4, height, width] scores)
<float[1] off = {-127.5}, float[1] unit = {0.0078125}>
{ wide = Cast<to = 1>(images)
  channels = Transpose<perm = [0, 3, 1, 2]>(wide)
  small = Conv<pads = [1, 1, 1, 1]>(channels, w0)
  shifted = Add(small, off)
  normal = Mul(shifted, unit)
  map = Conv<pads = [1, 1, 1, 1]>(normal, w1, b1)
  active = Relu(map)
  shape = Shape(active)
  numbers = Cast<to = 1>(shape)
  size = Cast<to = 7>(numbers)
  same = Reshape(active, size)
  scores = Conv(same, w2, b2)
  best = ArgMax<axis = 1, keepdims = 0>(scores)
  labels = Cast<to = 2>(best) }
"""
MODULES = {
    'small': "['', 'model.data_preprocessor', 'model.data_preprocessor.resizer', 'conv2d']",
    'map': "['', 'model', 'model.backbone', 'model.backbone.conv', 'conv2d']",
    **dict.fromkeys(('active', 'shape', 'numbers', 'size', 'same'),
                    "['', 'model', 'model.backbone', 'model.backbone.relu', 'relu']"),
    'scores': "['', 'model', 'model.decode_head', 'model.decode_head.conv_seg', 'conv2d']",
}
META = dict(task='segmentation', classes=list('abcd'), palette=4 * [[0, 0, 0]], layout='nhwc',
            channel_order='bgr', size=None, resized='scale=1', model='Model', versions={})


def write(file: Path, scopes: bool = True, **changes: object) -> Path:
    """A file as the exporter writes it."""
    model = onnx.parser.parse_model(MODEL)
    random = np.random.default_rng(0)
    blur = np.zeros((3, 3, 3, 3))
    blur[range(3), range(3)] = np.array([1, 2, 1])[:, None] * np.array([1, 2, 1]) / 16
    scale = np.geomspace(0.3, 3, 8)[:, None, None, None]  # channels of very different ranges
    weights = dict(w0=blur, w1=scale * random.normal(size=(8, 3, 3, 3)), b1=random.normal(size=8),
                   w2=random.normal(size=(4, 8, 1, 1)) / scale[:, :, 0, 0].reshape(1, 8, 1, 1),
                   b2=random.normal(size=4))
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items())
    for node in model.graph.node:
        [node.name] = node.output
        if scopes:
            node.metadata_props.add(key=SCOPES, value=MODULES.get(node.name, "['', 'other']"))
    onnx.helper.set_model_props(model, {'mine': 'kept',
                                        **Metadata(**{**META, **changes}).to_properties()})
    onnx.save(onnx.shape_inference.infer_shapes(model), file)
    return file
