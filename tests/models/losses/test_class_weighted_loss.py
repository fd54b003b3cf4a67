import math

from dsnet_mm.models.losses.class_weighted_loss import ClassWeightedCrossEntropyLoss

import pytest
import torch
import torch.nn.functional as F

WEIGHTS = [0.2, 0.8, 2.0]


def test_it_is_pytorchs_and_leaves_ignored_pixels_out():
    logits = torch.randn(2, 3, 5, 6, requires_grad=True)
    labels = torch.randint(0, 3, (2, 5, 6))
    labels[0, :2] = 255
    loss = ClassWeightedCrossEntropyLoss(WEIGHTS, loss_weight=0.5)(logits, labels, ignore_index=255)
    expected = F.cross_entropy(logits, labels, torch.tensor(WEIGHTS), ignore_index=255)
    torch.testing.assert_close(loss, 0.5 * expected)
    loss.backward()
    assert not logits.grad[0, :, :2].any() and logits.grad[0, :, 2:].all()


def test_by_hand():
    logits = torch.tensor([[0.0, 0, 0], [0, math.log(2), 0]]).T[None, :, None]
    loss = ClassWeightedCrossEntropyLoss(WEIGHTS)(logits, torch.tensor([[[0, 1]]]))
    assert loss.item() == pytest.approx(0.2 * math.log(3) + 0.8 * math.log(2))


def test_an_image_without_labels_costs_nothing():
    labels = torch.full((1, 4, 4), 255)
    loss = ClassWeightedCrossEntropyLoss(WEIGHTS)(torch.randn(1, 3, 4, 4), labels, ignore_index=255)
    assert loss == 0


def test_weights_of_pixels_are_refused():
    with pytest.raises(ValueError, match="remove the head's sampler"):
        ClassWeightedCrossEntropyLoss(WEIGHTS)(
            torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long), torch.ones(1, 4, 4))
