"""Bad and odd inputs, row by row, each with the behaviour promised: it works, with a result that is
checked, or it is refused with an error that names value, place and remedy."""
import copy
import io
from collections.abc import Callable

from dsnet_mm import DownsizeDetDataPreprocessor, DownsizeSegDataPreProcessor
from dsnet_mm.resizers import DownsizeNet

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmcv.transforms import LoadImageFromFile
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from PIL import Image
from torch import Tensor

GREY = dict(type='DownsizeNet', in_channels=1)
ALPHA = dict(type='DownsizeNet', in_channels=4)


def image(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8)


def det(inputs: object, samples: object = None, **options: object) -> dict:
    """What the preprocessor for mmdet makes of a training batch, to 8x6 by default."""
    if not options.keys() & {'target_size', 'scale', 'short_edge'}:
        options['target_size'] = (8, 6)
    # Untrained it is bilinear interpolation to the last digit.
    resizer = {'type': 'DownsizeNet', **(options.pop('resizer', None) or {})}
    return DownsizeDetDataPreprocessor(**options, resizer=resizer)(
        dict(inputs=inputs, data_samples=samples), training=True)


def boxes_sample(boxes: object, **metainfo: object) -> DetDataSample:
    boxes = torch.as_tensor(boxes)
    sample = DetDataSample(metainfo=dict(img_shape=(20, 30), **metainfo))
    sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=int))
    return sample


def labels_sample(labels: Tensor) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_shape=(20, 30)))
    sample.gt_sem_seg = PixelData(data=labels)
    return sample


def seg(labels: Tensor, size: tuple[int, int] = (20, 30)) -> dict:
    """What the preprocessor for mmseg makes of an image of 20x30 with these labels, at half."""
    return DownsizeSegDataPreProcessor(scale=0.5, size=size)(
        dict(inputs=[image(3, 20, 30)], data_samples=[labels_sample(labels)]), training=True)


# An untrained DownsizeNet is bilinear interpolation, whatever the image.
IMAGES = {
    '1x1': (image(3, 1, 1), {}),
    '1xN': (image(3, 1, 50), {}),
    'Nx1': (image(3, 50, 1), {}),
    'all alike': (torch.full((3, 20, 30), 7, dtype=torch.uint8), {}),
    'all black': (torch.zeros(3, 20, 30), {}),
    'float': (image(3, 20, 30).float(), {}),
    'half': (image(3, 20, 30).half(), {}),
    'bfloat16': (image(3, 20, 30).bfloat16(), {}),
    'double': (image(3, 20, 30).double(), {}),
    'in [0, 1]': (torch.rand(3, 20, 30), {}),
    'negative': (-1000 * torch.rand(3, 20, 30), {}),
    'large': (1e9 * torch.rand(3, 20, 30), {}),
    'subnormal': (1e-40 * torch.rand(3, 20, 30), {}),
    'every second column': (image(3, 20, 60)[..., ::2], {}),
    'channels last': (image(20, 30, 3).permute(2, 0, 1), {}),
    'a view of a row': (image(3, 1, 30).expand(3, 20, 30), {}),
    'needs a gradient': (torch.rand(3, 20, 30, requires_grad=True), {}),
    'grey': (image(1, 20, 30), dict(resizer=GREY)),
    '4 channels': (image(4, 20, 30), dict(resizer=ALPHA)),
    'target larger than the image': (image(3, 5, 4), dict(target_size=(40, 50))),
    'target of the same size': (image(3, 20, 30), dict(target_size=(20, 30))),
    'only one side larger': (image(3, 20, 30), dict(target_size=(2, 90))),
    'huge ratio': (image(3, 2000, 3), dict(target_size=(1, 1))),
    'tiny scale': (image(3, 20, 30), dict(scale=1e-300)),
    'short edge of a 1xN image': (image(3, 1, 9), dict(short_edge=3)),
}


@pytest.mark.parametrize('name', IMAGES)
def test_an_image_is_one_behind_the_default_resizer_as_well(name):
    given, options = IMAGES[name]
    resizer = dict(options.get('resizer', {}), type='DownsizeNetV2')
    result = det([given], **dict(options, resizer=resizer))['inputs'][0]
    least, greatest = given.float().aminmax()
    rounding = 1e-5 * given.float().abs().max()
    assert result.shape == det([given], **options)['inputs'][0].shape
    assert (result >= least - rounding).all() and (result <= greatest + rounding).all()


@pytest.mark.parametrize('name', IMAGES)
def test_image_is_resized(name):
    given, options = IMAGES[name]
    result = det([given], **options)['inputs'][0]
    size = options.get('target_size', (8, 6))
    size = {'tiny scale': (1, 1), 'short edge of a 1xN image': (3, 27)}.get(name, size)
    expected = F.interpolate(given[None].float(), size, mode='bilinear')[0]
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-3)


def test_images_of_different_sizes_and_types_in_a_batch():
    given = [image(3, 20, 30), torch.rand(3, 5, 7), image(3, 20, 30).double()]
    result = det(given)['inputs']
    for each, resized in zip(given, result):
        alone = F.interpolate(each[None].float(), (8, 6), mode='bilinear')[0]
        torch.testing.assert_close(resized, alone, rtol=1e-5, atol=1e-3)


# Boxes of an image of 20x30 pixels, resized to 10x15.
@pytest.mark.parametrize('boxes, expected', [
    pytest.param(torch.zeros(0, 4), torch.zeros(0, 4), id='none'),
    pytest.param([[-10., -6., 100., 80.]], [[-5., -3., 50., 40.]], id='outside'),
    pytest.param([[4., 4., 4., 9.]], [[2., 2., 2., 4.5]], id='no width'),
    pytest.param([[4., 4., 4., 4.]], [[2., 2., 2., 2.]], id='a point'),
    pytest.param([[9., 8., 1., 2.]], [[4.5, 4., 0.5, 1.]], id='corners swapped'),
    pytest.param([[1, 2, 3, 4]], [[0.5, 1., 1.5, 2.]], id='integers'),
])
def test_boxes_follow(boxes, expected):
    sample = boxes_sample(boxes)
    result = det([image(3, 20, 30)], [sample], scale=0.5)['data_samples'][0]
    assert torch.equal(result.gt_instances.bboxes, torch.as_tensor(expected))
    assert torch.equal(sample.gt_instances.bboxes, torch.as_tensor(boxes))  # as given


@pytest.mark.parametrize('size, expected', [
    ((20, 30), (10, 15)), ((40, 60), (20, 30)), ((10, 15), (5, 8)), ((1, 1), (1, 1)),
    ((7, 90), (4, 45))])
def test_label_maps_of_any_size_keep_their_relation_to_the_image(size, expected):
    labels = torch.randint(255, (1, *size))
    result = seg(labels)['data_samples'][0].gt_sem_seg.data
    reference = F.interpolate(labels[None].double(), expected, mode='nearest-exact')[0].long()
    assert torch.equal(result, reference)


def test_label_maps_without_a_labelled_pixel():
    assert seg(torch.full((1, 20, 30), 255))['data_samples'][0].gt_sem_seg.data.eq(255).all()


def with_value(value: float, *place: int) -> Tensor:
    values = torch.rand(3, 20, 30)
    values[place] = value
    return values


OURS = DownsizeNet()
REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    # images
    'no images': (lambda: det([]), ValueError, 'no images'),
    'a batch of none': (lambda: det(torch.zeros(0, 3, 8, 8)), ValueError, 'no images'),
    'None': (lambda: det(None), TypeError, 'list of images.*NoneType'),
    'None among them': (lambda: det([image(3, 8, 8), None]), ValueError, r'\(C, H, W\).*NoneType'),
    'an array': (lambda: det([np.zeros((3, 8, 8))]), ValueError, r'\(C, H, W\).*ndarray'),
    'no rows': (lambda: det([image(3, 0, 8)]), ValueError, r'empty.*\(1, 3, 0, 8\)'),
    'two dimensions': (lambda: det([image(8, 8)]), ValueError, r'\(C, H, W\).*\(8, 8\)'),
    'a video': (lambda: det([image(2, 3, 8, 8)]), ValueError, 'TrackDataPreprocessor'),
    'grey': (lambda: det([image(1, 8, 8)]), ValueError, 'in_channels=1'),
    '4 channels': (lambda: det([image(4, 8, 8)]), ValueError, 'in_channels=4'),
    '16 bits': (lambda: det([torch.zeros(3, 8, 8, dtype=torch.int16)]), TypeError,
                r'int16.*\.float\(\)'),
    'booleans': (lambda: det([torch.ones(3, 8, 8, dtype=bool)]), TypeError, r'bool.*\.float\(\)'),
    'complex': (lambda: det([torch.ones(3, 8, 8, dtype=torch.complex64)]), TypeError, 'complex64'),
    'NaN': (lambda: det([image(3, 9, 9), with_value(torch.nan, 1, 2, 3)]), ValueError,
            r'image 1 of the batch has 1 of 1800 values.*\[1, 2, 3\]: nan.*leave it out'),
    'infinite': (lambda: det([with_value(-torch.inf, 0, 0, 0)]), ValueError, r'image 0.*: -inf'),
    'infinite in half precision': (lambda: det([with_value(torch.inf, 0, 0, 0).half()]),
                                   ValueError, 'image 0.* 1 of 1800'),
    'a number as a switch': (lambda: DownsizeNet(use_texture=-2), TypeError,
                             'use_texture must be True or False, got -2'),
    'a larger window': (lambda: DownsizeNet(window='auto'), ValueError,
                        "window must be 2, got 'auto': .*DownsizeNetV2"),
    'beyond single precision': (lambda: det([with_value(1e30, 2, 0)]), ValueError,
                                r'image 0.* 30 of 1800 values.*beyond 1e\+12'),
    'NaN, with a file': (
        lambda: det([with_value(torch.nan, 1)], [boxes_sample([[1., 1, 2, 2]], img_path='a.png')]),
        ValueError, r'image 0 of the batch \(a.png\)'),
    # data samples
    'too few samples': (lambda: det([image(3, 8, 8)], []), ValueError, '1 images.*0 data samples'),
    'None as a sample': (lambda: det([image(3, 8, 8)], [None]), TypeError,
                         'data sample 0.*NoneType.*PackDetInputs'),
    'NaN in a box': (
        lambda: det([image(3, 20, 30)], [boxes_sample([[1., 2, 3, 4], [1., torch.nan, 3, 4]],
                                                      img_path='a.png')]),
        ValueError, r'gt_instances.bboxes of data sample 0 \(a.png\) has 1 of 8.*\[1, 1\]: nan'),
    'an infinite box': (lambda: det([image(3, 20, 30)], [boxes_sample([[1., 2, torch.inf, 4]])]),
                        ValueError, r'bboxes of data sample 0.*\[0, 2\]: inf'),
    'boxes of five numbers': (lambda: det([image(3, 20, 30)], [boxes_sample([[1., 2, 3, 4, 5]])]),
                              ValueError, r'pairs of x and y, got shape \(1, 5\).*box type'),
    'masks as a tensor': (lambda: det([image(3, 20, 30)], [_masks(torch.ones(1, 20, 30))]),
                          TypeError, 'BitmapMasks or PolygonMasks, got Tensor'),
    'scale_factor of one number': (
        lambda: det([image(3, 20, 30)], [boxes_sample([[1., 2, 3, 4]], scale_factor=0.5)]),
        ValueError, 'scale_factor.*two numbers, got 0.5'),
    'labels without pixels': (lambda: seg(torch.zeros(1, 0, 0, dtype=int)), ValueError,
                              r'no pixels.*\(1, 0, 0\)'),
    # sizes
    'size as a string': (lambda: det([], target_size='(160, 160)'), ValueError,
                         r"target_size must be \(height, width\).*'\(160, 160\)'"),
    'sides as strings': (lambda: det([], target_size=('160', '160')), TypeError,
                         'target_size must be integers'),
    'sides as floats': (lambda: det([], target_size=(160., 160.)), TypeError, 'integers'),
    'one side': (lambda: det([], target_size=(160, )), ValueError, r'\(160,\)'),
    'a side of 0': (lambda: det([], target_size=(160, 0)), ValueError, r'positive, got \(160, 0\)'),
    'a negative side': (lambda: det([], target_size=(-1, 160)), ValueError, 'positive'),
    'booleans as sides': (lambda: det([], target_size=(True, True)), TypeError, 'integers'),
    'a dict as size': (lambda: det([], target_size={1: 2, 3: 4}), ValueError, 'height, width'),
    'a size of 10**9': (lambda: det([], target_size=(10**9, 10**9)), ValueError,
                        'at most 1048576 pixels a side'),
    'scale as a string': (lambda: det([], scale='0.5'), TypeError, "scale must be a number.*'0.5'"),
    'scale 0': (lambda: det([], scale=0), ValueError, 'scale must be positive'),
    'scale NaN': (lambda: det([], scale=float('nan')), ValueError, 'finite'),
    'huge scale': (lambda: det([], scale=1e300), ValueError, r'at most 8, got 1e\+300; for pixels'),
    'pixels as a scale': (lambda: det([], scale=(320, 320)), ValueError,
                          r'at most 8, got \(320, 320\); for pixels: target_size=\(h, w\)'),
    'short edge as a string': (lambda: det([], short_edge='165'), TypeError, "short_edge.*'165'"),
    'huge ratio by the short edge': (lambda: det([image(3, 1, 3000)], short_edge=1000), ValueError,
                                     r'at most 1048576.*\(1000, 3000000\)'),
    'two sizes': (lambda: det([], scale=0.5, short_edge=9), ValueError, 'exactly one'),
    'size None for a resizer': (lambda: OURS(torch.rand(1, 3, 8, 8), None), ValueError,
                                r'size must be \(height, width\).*None'),
}


def _masks(masks: object) -> DetDataSample:
    sample = boxes_sample([[1., 2, 3, 4]])
    sample.gt_instances.masks = masks
    return sample


@pytest.mark.parametrize('name', REFUSED)
def test_refused(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_the_ground_truth_of_a_test_image_may_be_anything():
    """It is not used."""
    sample = boxes_sample([[1., torch.nan, 3, 4]])
    ours = DownsizeDetDataPreprocessor(scale=0.5)
    result = ours(dict(inputs=[image(3, 20, 30)], data_samples=[copy.deepcopy(sample)]))
    torch.testing.assert_close(result['data_samples'][0].gt_instances.bboxes,
                               sample.gt_instances.bboxes, equal_nan=True)


# Files, as mmcv reads them for a detector or a segmenter.
PHOTO = Image.fromarray(np.kron(
    np.random.default_rng(0).integers(256, size=(5, 8, 3), dtype=np.uint8),
    np.ones((8, 8, 1), np.uint8)))


def encoded(photo: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    photo.save(file, kind, **options)
    return file.getvalue()


def turned() -> bytes:
    """A photograph of a camera that was held upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(PHOTO, 'jpeg', exif=exif, quality=95)


JPEG = encoded(PHOTO, 'jpeg', quality=95)
SIXTEEN_BITS = encoded(Image.fromarray(np.asarray(PHOTO.convert('L')).astype(np.uint16) * 257),
                       'png')
FILES = {
    'jpeg': (JPEG, PHOTO),
    'jpeg, CMYK': (encoded(PHOTO.convert('CMYK'), 'jpeg', quality=95), PHOTO),
    'jpeg, grey': (encoded(PHOTO.convert('L'), 'jpeg', quality=95), PHOTO.convert('L')),
    'jpeg, turned by EXIF': (turned(), PHOTO.transpose(Image.Transpose.ROTATE_270)),
    'png, 16 bits': (SIXTEEN_BITS, PHOTO.convert('L')),
    'png, transparent': (encoded(PHOTO.convert('RGBA'), 'png'), PHOTO),
    'png, palette': (encoded(PHOTO.quantize(256), 'png'), PHOTO.quantize(256)),
    'png, black and white': (encoded(PHOTO.convert('1'), 'png'), PHOTO.convert('1')),
}


def load(content: bytes, folder) -> Tensor:
    (folder / 'file').write_bytes(content)
    loaded = LoadImageFromFile()(dict(img_path=str(folder / 'file')))['img']
    return torch.from_numpy(np.ascontiguousarray(loaded.transpose(2, 0, 1)))


@pytest.mark.parametrize('name', FILES)
def test_file_is_resized_as_people_see_it(name, tmp_path):
    content, seen = FILES[name]
    result = det([load(content, tmp_path)], scale=0.25, bgr_to_rgb=True)['inputs'][0]
    seen = torch.from_numpy(np.array(seen.convert('RGB'))).permute(2, 0, 1)[None].float()
    expected = F.interpolate(seen, result.shape[-2:], mode='bilinear')[0]
    assert (result - expected).abs().mean() < 4  # JPEG is not exact, CMYK neither


@pytest.mark.parametrize('content', [JPEG[:100], JPEG[:0], b'text', FILES['png, palette'][0][:99]],
                         ids=['jpeg without pixels', 'nothing', 'text', 'half a png'])
def test_broken_file_is_refused(content, tmp_path):
    with pytest.raises(Exception, match='file|buf.empty'):
        load(content, tmp_path)


def test_half_a_jpeg_is_refused_or_its_upper_half_read(tmp_path):
    """Newer versions of OpenCV refuse it, older ones make the rest grey."""
    try:
        result = load(JPEG[:len(JPEG) * 3 // 4], tmp_path)
    except AssertionError as error:
        assert str(tmp_path / 'file') in str(error)
    else:
        rows = torch.from_numpy(np.array(PHOTO)[:8, :, ::-1].copy()).permute(2, 0, 1)
        assert (result[:, :8].float() - rows).abs().mean() < 12  # grey blurs into the colours
