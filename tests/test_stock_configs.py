"""Stock configs of mmdet and mmseg with the one line: a training step and a prediction each."""
from dataclasses import dataclass, field
from typing import Any

from dsnet_mm.config import build_model, load_config

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.model import BaseModel, BaseModule, revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmseg.structures import SegDataSample

Size = tuple[int, int]
ORIGINAL, LARGE, SMALL = (300, 400), (192, 256), (96, 128)  # the file; into, out of the resizer


@dataclass(frozen=True)
class Case:
    """A stock config, and what makes its model small or makes random weights predict something."""
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    clips: bool = True  # whether predicted boxes end at the border of the image

    def __str__(self) -> str:
        return self.config.split('/')[1]

    def load(self) -> Config:
        options = {'backbone.init_cfg': None}  # no weights to download
        if self.config.startswith('mmdet'):
            options |= {'data_preprocessor.type': 'dsnet_mm.DownsizeDetDataPreprocessor',
                        'data_preprocessor.target_size': SMALL}
        else:
            options |= {'data_preprocessor.type': 'dsnet_mm.DownsizeSegDataPreProcessor',
                        'data_preprocessor.scale': 0.5,
                        'data_preprocessor.size': LARGE, 'pretrained': None}
        options |= self.options
        return load_config(f'{self.config}.py', {f'model.{k}': v for k, v in options.items()})

    def load_stock(self) -> Config:
        return load_config(f'{self.config}.py')


YOLOX = 'mmdet::yolox/yolox_tiny_8xb8-300e_coco'
SSD = 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco'
ALL_BOXES = {'test_cfg.score_thr': 0}
RCNN = {'backbone.depth': 18, 'neck.in_channels': [64, 128, 256, 512],
        'train_cfg.rpn_proposal.max_per_img': 50, 'train_cfg.rcnn.sampler.num': 32,
        'test_cfg.rpn.max_per_img': 50, 'test_cfg.rcnn.max_per_img': 10,
        'test_cfg.rcnn.score_thr': 0}
DETR = {'encoder.num_layers': 2, 'decoder.num_layers': 2}
# The stock hourglass is so deep that one pixel per image is left for batch normalisation.
CORNERNET = {
    'backbone.downsample_times': 2, 'backbone.stage_channels': (32, 32, 32),
    'backbone.stage_blocks': (1, 1, 1), 'backbone.feat_channel': 32, 'bbox_head.in_channels': 32,
    'bbox_head.num_classes': 2, 'test_cfg.distance_threshold': 100}


def mask2former(head: str) -> dict[str, Any]:
    return {'backbone.depth': 18, f'{head}.in_channels': [64, 128, 256, 512],
            f'{head}.num_queries': 20, f'{head}.pixel_decoder.encoder.num_layers': 2,
            f'{head}.transformer_decoder.num_layers': 2}


CASES = [
    Case('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco', RCNN),
    Case('mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco', RCNN),
    Case('mmdet::retinanet/retinanet_r18_fpn_1x_coco', ALL_BOXES),
    Case('mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco', ALL_BOXES),
    Case('mmdet::atss/atss_r50_fpn_1x_coco', ALL_BOXES),
    Case(YOLOX, {**ALL_BOXES, 'data_preprocessor.batch_augments': None}, clips=False),
    Case('mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco', ALL_BOXES, clips=False),
    # Without exp_on_reg, random weights predict boxes without area.
    Case('mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco', {'bbox_head.exp_on_reg': True}),
    Case('mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco', {'test_cfg.score_thr': 0}),
    Case('mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco', CORNERNET, clips=False),
    Case('mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco', DETR),
    # The queries are chosen among the pixels of the feature maps, here fewer than the stock 900.
    Case('mmdet::dino/dino-4scale_r50_8xb2-12e_coco', {**DETR, 'num_queries': 100}),
    Case('mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic',
         mask2former('panoptic_head')),
    Case('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024'),
    Case('mmseg::fcn/fcn_r18-d8_4xb2-80k_cityscapes-512x1024'),
    Case('mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512'),
    Case('mmseg::ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024'),
    # Slide inference, its window in resized pixels.
    Case('mmseg::unet/unet-s5-d16_fcn_4xb4-40k_chase-db1-128x128',
         {'backbone.base_channels': 16, 'decode_head.in_channels': 16,
          'auxiliary_head.in_channels': 32,
          'test_cfg.crop_size': (64, 64), 'test_cfg.stride': (42, 42)}),
    Case('mmseg::swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512',
         {'decode_head.channels': 64}),
    Case('mmseg::mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024',
         mask2former('decode_head')),
    Case('mmseg::stdc/stdc1_4xb12-80k_cityscapes-512x1024'),  # reads boundaries from the label
    Case('mmseg::pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes'),  # has them as another map
    Case('mmseg::point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024'),
    Case('mmseg::setr/setr_vit-l_naive_8xb1-80k_cityscapes-768x768',
         {'backbone.num_layers': 4, 'backbone.out_indices': (0, 1, 2, 3)}),
]


def build(case: Case) -> BaseModel:
    model = revert_sync_batchnorm(build_model(case.load()))
    model.init_weights()
    return model


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """``init_weights`` would log every parameter."""
    monkeypatch.setattr(BaseModule, '_dump_init_info', lambda self: None)


def sample(cfg: Config, size: Size) -> BaseDataElement:
    """The annotated image as a pipeline that resizes to this size hands it over."""
    height, width = size
    metainfo = dict(
        img_shape=size, ori_shape=ORIGINAL,
        scale_factor=(width / ORIGINAL[1], height / ORIGINAL[0]),
        border=[height / 8, 7 * height / 8, width / 8, 7 * width / 8])  # only CornerNet asks
    labels = torch.randint(0, 2, (1, height, width))
    if cfg.default_scope == 'mmseg':
        return SegDataSample(metainfo=metainfo, gt_sem_seg=PixelData(data=labels),
                             gt_edge_map=PixelData(data=torch.randint(0, 2, (1, height, width))))
    boxes = torch.tensor([[.1, .1, .6, .9], [.5, .3, .9, .6]]) * torch.tensor([width, height] * 2)
    instances = InstanceData(bboxes=boxes, labels=torch.tensor([0, 1]))
    if any(stage.get('with_mask') for stage in cfg.train_pipeline):
        masks = np.zeros((2, height, width), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, boxes.int()):
            mask[y1:y2, x1:x2] = 1
        instances.masks = BitmapMasks(masks, height, width)
    return DetDataSample(
        metainfo=metainfo, gt_instances=instances, gt_sem_seg=PixelData(sem_seg=labels))


def batch(cfg: Config) -> dict:
    return dict(inputs=[torch.randint(0, 256, (3, *LARGE)).byte() for _ in range(2)],
                data_samples=[sample(cfg, LARGE) for _ in range(2)])


def train(model: BaseModel, data: dict) -> None:
    losses = model.train_step(data, OptimWrapper(torch.optim.SGD(model.parameters(), 1e-4)))
    assert all(value.isfinite().all() for value in losses.values())
    # The resizer's last layer starts at zero: all it holds now is its gradient.
    for parameter in model.data_preprocessor.resizer.logits.parameters():
        assert parameter.isfinite().all() and parameter.any()


@torch.no_grad()
def predict(model: BaseModel, data: dict) -> list[dict[str, BaseDataElement]]:
    return [{k: v for k, v in result.items() if k.startswith('pred_')}
            for result in model.eval().test_step(data)]


@pytest.mark.parametrize('case', CASES, ids=str)
def test_one_step_and_one_prediction(case: Case) -> None:
    stock, model = case.load_stock(), build(case)
    data = batch(stock)
    seen = model.data_preprocessor(data, True)
    assert seen['inputs'].shape == (2, 3, *SMALL)
    for truth in seen['data_samples']:
        assert truth.gt_sem_seg.shape == SMALL
        if 'gt_instances' in truth:
            expected = sample(stock, SMALL).gt_instances.bboxes
            torch.testing.assert_close(truth.gt_instances.bboxes, expected)
    train(model, data)
    results = predict(model, data)

    bounds = torch.tensor(ORIGINAL[::-1] * 2)
    for result in results:
        assert {'pred_instances', 'pred_sem_seg'} & result.keys()
        if 'pred_instances' in result:
            instances = result['pred_instances']
            assert instances.bboxes.max() > max(SMALL)
            if case.clips:
                assert instances.bboxes.min() >= 0 and (instances.bboxes <= bounds).all()
            if 'masks' in instances:
                assert instances.masks.shape[1:] == ORIGINAL
        for name in {'pred_sem_seg', 'pred_panoptic_seg'} & result.keys():
            assert result[name].shape == ORIGINAL

    # The same weights predict the same where the pipeline has resized the images itself.
    resized = dict(inputs=model.data_preprocessor.resize(data['inputs']),
                   data_samples=[sample(stock, SMALL) for _ in results])
    model.data_preprocessor = build_model(stock, stock.model.data_preprocessor)
    for result, expected in zip(results, predict(model, resized)):
        assert result.keys() == expected.keys()
        for name, prediction in result.items():
            for key, value in prediction.items():
                torch.testing.assert_close(value, expected[name].get(key))


def test_yolox_is_told_what_to_put_instead_of_its_batch_augmentation() -> None:
    remedy = 'BatchSyncRandomResize.*set batch_augments=None.*RandomResize'
    with pytest.raises(ValueError, match=remedy):
        build(Case(YOLOX))


def test_ssd_trains_but_mmdet_cannot_predict() -> None:
    case = Case(SSD)
    model, data = build(case), batch(case.load_stock())
    train(model, data)
    # SSDHead has no loss_cls, which the prediction it inherits asks for its activation.
    with pytest.raises(AttributeError, match='loss_cls'):
        predict(model, data)
