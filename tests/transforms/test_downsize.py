"""The torchvision transform."""
import pickle

from dsnet_mm import DownsizeNet, DownsizeNetV2, DownsizeSegDataPreProcessor, FixedResizer
from dsnet_mm.resizers import pretrained
from dsnet_mm.transforms import Downsize

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.transforms import v2

FORMATS = list(tv_tensors.BoundingBoxFormat)


def trained_net(**kwargs) -> DownsizeNet:
    """One that is far from bilinear and tells the channels apart."""
    net = DownsizeNet(**kwargs)
    torch.nn.init.normal_(net.logits.weight)
    return net


@pytest.fixture(scope='module', params=['DownsizeNet', 'DownsizeNetV2'])
def weights(request, tmp_path_factory):
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp('weights') / 'trained.safetensors'
    if request.param == 'DownsizeNet':
        file.write_bytes(pretrained.to_bytes(trained_net(num_convs=3), dict(num_convs=3)))
    else:
        net = DownsizeNetV2()
        torch.nn.init.normal_(net.logits.weight, std=5)
        file.write_bytes(pretrained.to_bytes(net, {}))
    return file


@pytest.fixture(scope='module')
def photo(data_root) -> Image.Image:
    return Image.open(data_root / 'bccd/JPEGImages/BloodImage_00000.jpg').convert('RGB')


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@pytest.mark.parametrize('kwargs, size', [
    (dict(size=(120, 200)), (120, 200)), (dict(scale=0.3), (144, 192)),
    (dict(short_edge=160), (160, 213))])
def test_untrained_is_interpolate(photo, kwargs, size):
    image = to_tensor(photo)
    expected = F.interpolate(image[None].float(), size, mode='bilinear')[0]
    result = Downsize(**kwargs)(image)
    assert result.dtype == torch.uint8
    # Half a value is rounded either way.
    assert (result - expected).abs().max() <= 0.5 + 1e-3
    torch.testing.assert_close(Downsize(**kwargs)(image / 255), expected / 255)


def test_is_the_preprocessor_on_the_bgr_image_flipped(photo, weights):
    rgb = to_tensor(photo)
    preprocessor = DownsizeSegDataPreProcessor(
        target_size=(120, 160), resizer=dict(weights=str(weights)))
    expected = preprocessor.resize([rgb.flip(0)])[0].flip(0)
    result = Downsize((120, 160), weights=weights)(rgb.float())
    torch.testing.assert_close(result, expected, atol=255e-5, rtol=0)
    bytes_ = to_tensor(Downsize((120, 160), weights=weights)(photo))
    torch.testing.assert_close(bytes_, expected.round().byte(), atol=1, rtol=0)
    # A flip that is left out is seen.
    wrong = preprocessor.resize([rgb])[0]
    assert (wrong - expected).abs().mean() > 0.01 > 100 * (result - expected).abs().mean()


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int32, torch.float16,
                                   torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_value_range(dtype):
    image = torch.randint(0, 256, (3, 30, 40)).to(dtype)
    net = trained_net()
    result = Downsize((12, 16), resizer=net)(image)
    assert result.dtype == dtype
    expected = net(image.float().flip(0)[None], (12, 16))[0].flip(0)
    rounded = 0.5 if not dtype.is_floating_point else 255 * torch.finfo(dtype).eps
    assert (result.double() - expected).abs().max() <= rounded + 1e-3
    assert not result.requires_grad and expected.requires_grad


def test_overshoot_is_not_wrapped():
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[:, :, 8:] = 255
    bicubic = FixedResizer('bicubic')
    assert bicubic(image[None], (64, 64)).max() > 256
    result = Downsize((64, 64), resizer=bicubic)(image)
    assert (result[:, :, :24] < 50).all() and (result[:, :, 40:] > 200).all()


@pytest.mark.parametrize('shape', [(1, 3, 20, 30), (2, 3, 20, 30), (2, 4, 3, 20, 30)])
def test_leading_dimensions(shape):
    video = tv_tensors.Video(torch.rand(shape))
    net = trained_net()
    result = Downsize(scale=0.5, resizer=net)(video)
    assert isinstance(result, tv_tensors.Video)
    frames = video.as_subclass(Tensor).reshape(-1, 3, 20, 30)
    each = [Downsize(scale=0.5, resizer=net)(frame) for frame in frames]
    torch.testing.assert_close(result.as_subclass(Tensor).reshape(-1, 3, 10, 15),
                               torch.stack(each))


@pytest.mark.parametrize('format', FORMATS, ids=lambda format: format.name)
@pytest.mark.parametrize('kwargs, size', [
    (dict(size=(40, 40)), (40, 40)), (dict(scale=0.5), (60, 40)), (dict(short_edge=40), 40)])
def test_boxes_as_in_resize(format, kwargs, size):
    rotated = format.name in ('XYWHR', 'CXCYWHR', 'XYXYXYXY')
    boxes = tv_tensors.BoundingBoxes(
        [[40., 60, 30, 20, 25], [30, 50, 20, 40, -70]] if rotated else
        [[10., 20, 50, 90], [0, 0, 80, 120]],
        format='CXCYWHR' if rotated else 'XYXY', canvas_size=(120, 80))
    boxes = v2.functional.convert_bounding_box_format(boxes, new_format=format)
    result, expected = Downsize(**kwargs)(boxes), v2.Resize(size, antialias=True)(boxes)
    assert result.format == format and result.canvas_size == expected.canvas_size
    assert torch.equal(result, expected) and not torch.equal(result, boxes)


@pytest.mark.parametrize('kind', ['Mask', 'KeyPoints'])
def test_masks_stay_on_their_pixels_and_key_points_as_in_resize(kind):
    if not hasattr(tv_tensors, kind):
        pytest.skip(f'torchvision has no {kind} yet')
    given = (tv_tensors.Mask(torch.randint(0, 5, (2, 120, 80))) if kind == 'Mask' else
             tv_tensors.KeyPoints([[[10., 20], [30, 40]]], canvas_size=(120, 80)))
    result = Downsize((50, 31))(given)
    assert type(result) is type(given)
    expected = v2.Resize((50, 31), antialias=True)(given)
    if kind == 'Mask':  # v2.Resize takes the corners' pixels
        expected = F.interpolate(given[None].float(), (50, 31), mode='nearest-exact')[0].long()
    assert torch.equal(result, expected)


def extent(mask: Tensor) -> Tensor:
    """The box around a mask (h, w)."""
    rows, columns = (mask.any(dim).nonzero()[:, 0] for dim in (1, 0))
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def test_everything_lands_on_the_same_object(weights):
    image = torch.full((3, 96, 128), 30, dtype=torch.uint8)
    image[:, 24:72, 40:104] = 220
    sample = {
        'image': tv_tensors.Image(image),
        'target': [
            tv_tensors.BoundingBoxes([[40, 24, 104, 72.]], format='XYXY', canvas_size=(96, 128)),
            {'mask': tv_tensors.Mask(image[:1] > 100), 'id': 7},
            (torch.tensor([1., 2]), 'name')],
    }
    if hasattr(tv_tensors, 'KeyPoints'):
        sample['centre'] = tv_tensors.KeyPoints([[72., 48]], canvas_size=(96, 128))
    small = Downsize((30, 50), weights=weights)(sample)
    [(box, *_), others, (numbers, name)] = small['target']
    found = extent(small['image'][0] > 125)
    assert (box - found).abs().max() < 1
    assert (extent(others['mask'][0]) - found).abs().max() <= 1
    assert torch.equal(numbers, torch.tensor([1., 2])) and name == 'name' and others['id'] == 7
    if 'centre' in small:
        assert (small['centre'][0] - found.view(2, 2).float().mean(0)).abs().max() < 1
    assert sample['image'].shape == (3, 96, 128)


def test_what_is_no_image_passes_through():
    numbers = torch.rand(5)
    image, same_numbers, name = Downsize((10, 10))(
        tv_tensors.Image(torch.rand(3, 20, 30)), numbers, 'name')
    assert image.shape == (3, 10, 10)
    assert same_numbers is numbers and name == 'name'


@pytest.mark.parametrize('mode, becomes', [
    ('RGB', 'RGB'), ('L', 'L'), ('1', 'L'), ('P', 'RGB'), ('CMYK', 'RGB'), ('YCbCr', 'RGB'),
    ('RGBA', 'RGBA'), ('LA', 'RGBA'), ('PA', 'RGBA'), ('I', 'I'), ('F', 'F')])
def test_pil_modes(photo, weights, mode, becomes):
    image = photo.convert('L').convert(mode) if mode == 'PA' else photo.convert(mode)
    small = Downsize((120, 160), weights=weights)(image)
    assert (small.mode, small.size) == (becomes, (160, 120))
    # Still the same picture.
    as_rgb = Downsize((120, 160), weights=weights)(image.convert('RGB'))
    difference = np.abs(np.asarray(small.convert('RGB'), float) - np.asarray(as_rgb))
    assert difference.mean() < 3


@pytest.mark.parametrize('order', ['<', '>'])
def test_16_bit_pil_images(order):
    values = np.random.default_rng(0).integers(0, 65536, (40, 60))
    mode = dict([('<', 'I;16'), ('>', 'I;16B')])[order]
    image = Image.frombytes(mode, (60, 40), values.astype(f'{order}u2').tobytes())
    small = Downsize((20, 30))(image)
    expected = F.interpolate(torch.from_numpy(values)[None, None].float(), (20, 30),
                             mode='bilinear')[0, 0].numpy()
    assert small.mode == 'I;16'
    assert np.abs(np.asarray(small) - expected).max() <= 0.51


def test_what_cannot_be_seen_does_not_blend_in():
    image = Image.new('RGBA', (40, 40), (0, 0, 0, 0))
    image.paste((200, 100, 50, 255), (13, 0, 40, 40))
    small = np.asarray(Downsize((33, 33))(image)).astype(int)
    visible = small[..., 3] > 0
    assert 0 < (small[..., 3] < 255)[visible].mean()
    assert (np.abs(small[visible][:, :3] - (200, 100, 50)) <= 3).all()


def test_gray_images_are_colours_to_a_network_for_colours(weights):
    gray = torch.randint(0, 256, (1, 30, 40)).float()
    transform = Downsize((12, 16), weights=weights)
    torch.testing.assert_close(transform(gray), transform(gray.expand(3, -1, -1))[:1])
    of_gray = trained_net(in_channels=1)
    torch.testing.assert_close(Downsize((12, 16), resizer=of_gray)(gray),
                               of_gray(gray[None], (12, 16))[0].detach())


def test_the_resizer_given_is_not_frozen():
    net = trained_net()
    transform = Downsize((12, 16), resizer=net).train()
    assert all(p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in transform.parameters())
    assert not transform.resizer.resizer.training


class Images:
    """A data set, as a worker process gets it."""

    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return 4

    def __getitem__(self, index):
        torch.manual_seed(index)
        image = tv_tensors.Image(torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8))
        return self.transform(image), index


def test_workers(weights):
    transform = v2.Compose([v2.RandomHorizontalFlip(1), Downsize((12, 16), weights=weights)])
    copied = pickle.loads(pickle.dumps(transform))
    batches = list(DataLoader(Images(copied), batch_size=2, num_workers=2))
    for images, indices in batches:
        for image, index in zip(images, indices):
            assert torch.equal(image, Images(transform)[int(index)][0])
    assert len(batches) == 2


@pytest.mark.parametrize('kwargs, error, message', [
    (dict(), ValueError, 'exactly one.*none'),
    (dict(size=160), ValueError, r'size must be \(height, width\) in pixels, got 160'),
    (dict(size=(0, 5)), ValueError, r'size must be positive, got \(0, 5\)'),
    (dict(size=(16, 16), scale=0.5), ValueError, 'exactly one'),
    (dict(scale=0.5, weights='none-such'), FileNotFoundError, 'none-such'),
    (dict(scale=0.5, weights='a', resizer=DownsizeNet()), ValueError, "not both.*'a'"),
])
def test_bad_arguments(kwargs, error, message):
    with pytest.raises(error, match=message):
        Downsize(**kwargs)


@pytest.mark.parametrize('image, error, message', [
    (torch.rand(20, 30), ValueError, r'\(N, C, H, W\), got shape \(1, 20, 30\)'),
    (torch.rand(4, 20, 30), ValueError, '4 channels'),
    (torch.rand(3, 0, 30), ValueError, 'empty'),
    (torch.ones(3, 20, 30, dtype=torch.bool), TypeError, 'bool'),
])
def test_bad_images(image, error, message):
    with pytest.raises(error, match=message):
        Downsize((10, 10), resizer=DownsizeNetV2())(image)


def test_detail_maps_are_left_out(photo):
    net = DownsizeNetV2(detail_channels=4)
    plain = DownsizeNetV2()
    plain.load_state_dict({key: value for key, value in net.state_dict().items()
                           if not key.startswith('detail')})
    found, expected = (Downsize((48, 64), resizer=resizer)(photo) for resizer in (net, plain))
    assert np.array_equal(np.asarray(found), np.asarray(expected))
