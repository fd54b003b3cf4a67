"""mmcv's operators, computed by torchvision.

Names and arguments are those of mmcv's compiled module: most operators write their result into an
argument. Gradients accumulate where mmcv accumulates them.
"""

import torch
import torchvision
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

# The operators below torchvision.ops, whose backward passes take mmcv's arguments.
_raw = torch.ops.torchvision
# Strides, padding, dilation and groups, by mmcv's names.
_V1 = 'dH', 'dW', 'padH', 'padW', 'dilationH', 'dilationW', 'group', 'deformable_group'
_V2 = ('stride_h', 'stride_w', 'pad_h', 'pad_w', 'dilation_h', 'dilation_w', 'group',
       'deformable_group')


def get_compiler_version() -> str:
    """The compiler of mmcv's operators, in mmengine's environment report."""
    return f'not compiled (torchvision {torchvision.__version__})'


def get_compiling_cuda_version() -> str:
    """The CUDA version of mmcv's operators, in mmengine's environment report."""
    return torch.version.cuda or 'not available'


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that are kept, highest score first; sides are ``x2 - x1 + offset``."""
    if offset:
        boxes = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    return torchvision.ops.nms(boxes.float(), scores.float(), iou_threshold)


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float,
            min_score: float, method: int, offset: int) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017); methods 0, 1, 2 are naive, linear and gaussian.

    Writes the kept boxes and their scores to the first rows of ``dets`` (N, 5) and returns their
    indices.
    """
    boxes, scores = boxes.clone(), scores.clone()
    alive = torch.ones_like(scores, dtype=torch.bool)
    wide = torch.cat([boxes[:, :2], boxes[:, 2:] + offset], dim=1)
    area = (wide[:, 2:] - wide[:, :2]).prod(dim=1)
    kept: list[int] = []
    while alive.any():
        best = int(scores.masked_fill(~alive, -torch.inf).argmax())
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(best)
        alive[best] = False

        overlap = (torch.minimum(wide[:, 2:], wide[best, 2:]) -
                   torch.maximum(wide[:, :2], wide[best, :2])).clamp(min=0).prod(dim=1)
        iou = overlap / (area + area[best] - overlap)
        if method == 2:
            weight = torch.exp(-iou**2 / sigma)
        else:
            weight = torch.where(iou > iou_threshold, 1 - iou if method == 1 else 0., 1.)
        scores = torch.where(alive, scores * weight, scores)
        alive &= scores >= min_score
    return torch.tensor(kept, dtype=torch.long)


def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor,
                      argmax_x: Tensor, aligned_height: int, aligned_width: int,
                      spatial_scale: float, sampling_ratio: int, pool_mode: int,
                      aligned: bool) -> None:
    """RoI Align (He et al., ICCV 2017), averaging its samples."""
    _only_average(pool_mode)
    inside, lost = _finite(rois)
    output.copy_(_raw.roi_align(input, inside, spatial_scale, aligned_height, aligned_width,
                                sampling_ratio, aligned))
    output.masked_fill_(lost[:, None, None, None], torch.nan)


def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, aligned_height: int, aligned_width: int,
                       spatial_scale: float, sampling_ratio: int, pool_mode: int,
                       aligned: bool) -> None:
    """Gradient of :func:`roi_align_forward` to its input."""
    _only_average(pool_mode)
    rois, _ = _finite(rois)
    grad_input += _raw._roi_align_backward(grad_output, rois, spatial_scale, aligned_height,
                                           aligned_width, *grad_input.shape, sampling_ratio,
                                           aligned)


def _finite(rois: Tensor) -> tuple[Tensor, Tensor]:
    """Replaces RoIs with non-finite coordinates, for which torchvision's operators would read
    outside their memory, by empty ones; also returns the mask (K, ) of these. Their output is set
    to NaN, so that a diverged model shows in its loss."""
    lost = ~rois.isfinite().all(dim=1)
    return rois.masked_fill(lost[:, None], 0), lost


def _only_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError(
            "roi_align with pool_mode='max' is not compiled here, and torchvision has only 'avg': "
            "install an mmcv with compiled operators, or use a model with pool_mode='avg'")


def roi_pool_forward(input: Tensor, rois: Tensor, output: Tensor, argmax: Tensor,
                     pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """RoI max pooling (Girshick, ICCV 2015)."""
    inside, lost = _finite(rois)
    pooled, where = _raw.roi_pool(input, inside, spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    output.masked_fill_(lost[:, None, None, None], torch.nan)
    argmax.copy_(where)


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor,
                      pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
    """Gradient of :func:`roi_pool_forward` to its input."""
    rois, _ = _finite(rois)
    grad_input += _raw._roi_pool_backward(grad_output, rois, argmax, spatial_scale, pooled_height,
                                          pooled_width, *grad_input.shape)


def deform_conv_forward(input: Tensor, weight: Tensor, offset: Tensor, output: Tensor,
                        columns: Tensor, ones: Tensor, **geometry: int) -> None:
    """Deformable convolution (Dai et al., ICCV 2017)."""
    output.copy_(_deform_conv(input, weight, offset, None, None, *[geometry[name] for name in _V1]))


def deform_conv_backward_input(input: Tensor, offset: Tensor, grad_output: Tensor,
                               grad_input: Tensor, grad_offset: Tensor, weight: Tensor,
                               columns: Tensor, **geometry: int) -> None:
    """Gradient of :func:`deform_conv_forward` to its input and its offsets."""
    to_input, _, to_offset, _, _ = _deform_conv_backward(grad_output, input, weight, offset, None,
                                                         None, *[geometry[name] for name in _V1])
    grad_input += to_input
    grad_offset += to_offset


def deform_conv_backward_parameters(input: Tensor, offset: Tensor, grad_output: Tensor,
                                    grad_weight: Tensor, columns: Tensor, ones: Tensor,
                                    scale: float, **geometry: int) -> None:
    """Gradient of :func:`deform_conv_forward` to its weight, times ``scale``."""
    to_weight = _deform_conv_backward(grad_output, input, grad_weight, offset, None, None,
                                      *[geometry[name] for name in _V1])[1]
    grad_weight += scale * to_weight


def modulated_deform_conv_forward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                  offset: Tensor, mask: Tensor, output: Tensor, columns: Tensor,
                                  with_bias: bool, **geometry: int) -> None:
    """Modulated deformable convolution (Zhu et al., CVPR 2019)."""
    output.copy_(
        _deform_conv(input, weight, offset, mask, bias if with_bias else None,
                     *[geometry[name] for name in _V2]))


def modulated_deform_conv_backward(input: Tensor, weight: Tensor, bias: Tensor, ones: Tensor,
                                   offset: Tensor, mask: Tensor, columns: Tensor,
                                   grad_input: Tensor, grad_weight: Tensor, grad_bias: Tensor,
                                   grad_offset: Tensor, grad_mask: Tensor, grad_output: Tensor,
                                   with_bias: bool, **geometry: int) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`."""
    to_input, to_weight, to_offset, to_mask, to_bias = _deform_conv_backward(
        grad_output, input, weight, offset, mask, bias if with_bias else None,
        *[geometry[name] for name in _V2])
    grad_input += to_input
    grad_weight += to_weight
    grad_offset += to_offset
    grad_mask += to_mask
    if with_bias:
        grad_bias += to_bias


def _complete(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
              bias: Tensor | None) -> tuple:
    """The tensors of torchvision's operator, which always takes a mask and a bias, and whether
    there is a mask. Non-finite offsets, for which it would read outside its memory, are set to
    point outside the image."""
    offset = offset.masked_fill(~offset.isfinite(), -1e4)
    return (input, weight, offset, input.new_zeros(len(input), 1) if mask is None else mask,
            input.new_zeros(len(weight)) if bias is None else bias), mask is not None


def _deform_conv(input: Tensor, weight: Tensor, offset: Tensor, mask: Tensor | None,
                 bias: Tensor | None, *geometry: int) -> Tensor:
    tensors, has_mask = _complete(input, weight, offset, mask, bias)
    output = _raw.deform_conv2d(*tensors, *geometry, has_mask)
    # NaN, so that a diverged model shows in its loss.
    diverged = ~offset.isfinite().flatten(1).all(1)
    return output.masked_fill_(diverged[:, None, None, None], torch.nan)


def _deform_conv_backward(grad_output: Tensor, input: Tensor, weight: Tensor, offset: Tensor,
                          mask: Tensor | None, bias: Tensor | None, *geometry: int) -> tuple:
    tensors, has_mask = _complete(input, weight, offset, mask, bias)
    return _raw._deform_conv2d_backward(grad_output, *tensors, *geometry, has_mask)


def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor,
                               gamma: float, alpha: float) -> None:
    """Sigmoid focal loss (Lin et al., ICCV 2017) of logits (N, C) and class indices (N,)."""
    output.copy_(_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor,
                                gamma: float, alpha: float) -> None:
    """Gradient of the summed :func:`sigmoid_focal_loss_forward` to its input."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        loss = _focal_loss(logits, target, weight, gamma, alpha).sum()
    grad_input += torch.autograd.grad(loss, logits)[0]


def _focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float,
                alpha: float) -> Tensor:
    # The row of background, class C, is zero.
    one_hot = target[:, None] == torch.arange(input.shape[1], device=input.device)
    loss = sigmoid_focal_loss(input, one_hot.to(input), alpha=alpha, gamma=gamma)
    return loss if weight.numel() == 0 else loss * weight[target][:, None]


def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor,
                           value_level_start_index: Tensor, sampling_locations: Tensor,
                           attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Multi-scale deformable attention (Zhu et al., ICLR 2021), by mmcv's own PyTorch version."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch
    return multi_scale_deformable_attn_pytorch(value, value_spatial_shapes, sampling_locations,
                                               attention_weights)


def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor,
                            value_level_start_index: Tensor, sampling_locations: Tensor,
                            attention_weights: Tensor, grad_output: Tensor, grad_value: Tensor,
                            grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Gradients of :func:`ms_deform_attn_forward`."""
    with torch.enable_grad():
        inputs = [t.detach().requires_grad_() for t in
                  (value, sampling_locations, attention_weights)]
        output = ms_deform_attn_forward(inputs[0], value_spatial_shapes, value_level_start_index,
                                        inputs[1], inputs[2], im2col_step)
    grads = torch.autograd.grad(output, inputs, grad_output)
    for total, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads):
        total += grad
