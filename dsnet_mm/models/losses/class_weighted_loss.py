"""A cross-entropy loss for segmenters with a weight for each class."""
from collections.abc import Sequence

from dsnet_mm.registry import MODELS

import torch.nn.functional as F
from mmseg.models.losses import CrossEntropyLoss
from torch import Tensor


@MODELS.register_module()
class ClassWeightedCrossEntropyLoss(CrossEntropyLoss):
    """mmseg's ``CrossEntropyLoss`` with class weights and ignored pixels.

    As in PyTorch, the sum over the pixels that are not ignored is divided by the sum of their class
    weights. OneDL's ``CrossEntropyLoss`` does the same; the original one fails on ignored pixels.

    Args:
        class_weight (Sequence[float]): One for each class.
        loss_weight (float): Factor of the loss.
        loss_name (str): Its name in the log.
    """

    def __init__(self, class_weight: Sequence[float], loss_weight: float = 1.0,
                 loss_name: str = 'loss_ce') -> None:
        super().__init__(class_weight=list(class_weight), loss_weight=loss_weight,
                         loss_name=loss_name, avg_non_ignore=True)

    def forward(self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None,
                ignore_index: int = -100) -> Tensor:
        """Logits (N, classes, H, W) and labels (N, H, W) to the loss, 0 if all are ignored."""
        if weight is not None:
            raise ValueError('ClassWeightedCrossEntropyLoss takes no pixel weights: remove the '
                             "head's sampler")
        class_weight = cls_score.new_tensor(self.class_weight)
        loss = F.cross_entropy(cls_score, label, class_weight, ignore_index=ignore_index,
                               reduction='sum')
        total = class_weight[label[label != ignore_index]].sum()
        return self.loss_weight * loss / total.clamp(min=class_weight.min())
