"""Decoding of CenterNet."""
from collections.abc import Sequence

from dsnet_mm.deploy.decoders.frame import Frame
from dsnet_mm.deploy.decoders.suppression import Candidates, best

from mmdet.models.dense_heads import CenterNetHead
from torch import Tensor


def decode(head: CenterNetHead, outputs: Sequence[Sequence[Tensor]], frame: Frame,
           number: int) -> Candidates:
    """Boxes of the full-size image, as ``CenterNetHead.predict_by_feat`` finds them; those with a
    score of 0, which are no peaks of the heatmap, are left out.

    Args:
        head (CenterNetHead): The head.
        outputs (Sequence): Of its forward: of the one level the heatmap (N, classes, H, W), sizes
            and offsets (N, 2, H, W).
        frame (Frame): What the model saw.
        number (int): How many to keep at most.
    """
    [heatmap], [sizes], [offsets] = outputs
    found, labels = head._decode_heatmap(
        heatmap, sizes, offsets, frame.padded, k=head.test_cfg['topk'],
        kernel=head.test_cfg['local_maximum_kernel'])
    return best(Candidates(frame.to_full(found[..., :4]), found[..., 4], labels.long()), number)
