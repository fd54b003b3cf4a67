"""A correction of RTMDet-Ins: the original mmdet swaps the scale factors of its masks' sides."""
import inspect
from functools import wraps
from typing import Any


def install() -> None:
    """Corrects mmdet's head; does nothing if it is correct already."""
    from mmdet.models.dense_heads import RTMDetInsHead
    from mmdet.structures.bbox import scale_boxes
    upstream = RTMDetInsHead._bbox_mask_post_process
    if (hasattr(upstream, '__wrapped__')
            or 'mask_logits.shape[-2] * scale_factor[0]' not in inspect.getsource(upstream)):
        return

    @wraps(upstream)
    def corrected(self: RTMDetInsHead, results: Any, mask_feat: Any, cfg: Any,
                  rescale: bool = False, with_nms: bool = True,
                  img_meta: dict | None = None) -> Any:
        if rescale and img_meta is not None and img_meta.get('scale_factor') is not None:
            width, height = img_meta['scale_factor']
            if width != height:  # swapped for the masks, which is undone for the boxes
                img_meta = {**img_meta, 'scale_factor': (height, width)}
                results.bboxes = scale_boxes(results.bboxes, (height / width, width / height))
        return upstream(self, results, mask_feat, cfg, rescale, with_nms, img_meta)

    RTMDetInsHead._bbox_mask_post_process = corrected
