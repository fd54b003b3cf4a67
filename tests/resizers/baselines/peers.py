"""Real photographs, and networks far from their start, for the tests of the published peers."""
import torch
import torch.nn.functional as F
from skimage import data

SIZES = [(23, 31), (48, 33), (97, 131), (20, 150)]  # smaller, odd and even, larger, both


def photographs():
    """Two of them (2, 3, 67, 81), 0 to 255; the first reaches into black."""
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1).float()
    return torch.stack([photo[:, 300:367, 180:261], photo[:, 60:127, 180:261]])


def trained(peer, **kwargs):
    """Far from its start, in double precision, with running averages of its own."""
    net = peer(**kwargs).double()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    for name, buffer in net.named_buffers():
        if 'running' in name:
            torch.nn.init.uniform_(buffer, 0.5, 1.5)
    return net


def bilinear(images, size):
    return F.interpolate(images, size, mode='bilinear', align_corners=False)
