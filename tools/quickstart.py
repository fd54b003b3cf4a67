"""Compares learned resizers with interpolation on thin cracks in photographs, from nothing.

Makes the data set, and runs tools/compare.py on a small U-Net. What a former run has finished is
kept, what it has begun is resumed.
"""
import argparse
import os
import sys
from pathlib import Path

from dsnet_mm.cli import compare

sys.path.insert(0, str(Path(__file__).parent / 'datasets'))
from make_cracks import make_cracks  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/mini/cracks/unet_cracks.py'
DATA = ROOT / 'data/cracks'
VARIANTS = ('bilinear', 'antialias', 'downsizenet', 'downsizenet-v2')
TRAIN_IMAGES, VAL_IMAGES = 200, 60


def prepare_data() -> None:
    """Makes the data set, or checks that what is there is it."""
    if not DATA.exists():
        make_cracks(DATA, train=TRAIN_IMAGES, val=VAL_IMAGES, seed=0)
    for part, number in (('train', TRAIN_IMAGES), ('val', VAL_IMAGES)):
        found = len(list((DATA / 'images' / part).glob('*.png')))
        if found != number:
            raise SystemExit(f'{DATA} has {found} {part} images instead of {number}: it is not the '
                             "quickstart's data set; move it away")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--fresh', action='store_true', help='start over')
    parser.add_argument('--seeds', nargs='+', default=['0', '1', '2'],
                        help='each resizer is trained once with each')
    parser.add_argument('--jobs', default=str(min(2, os.cpu_count() or 1)),
                        help='trainings side by side, one thread each')
    parser.add_argument('--work-dir', default='work_dirs/quickstart')
    args = parser.parse_args()
    os.chdir(ROOT)
    prepare_data()
    return compare.main([
        os.path.relpath(CONFIG), '--metric', 'IoU/crack', '--variants', *VARIANTS,
        '--seeds', *args.seeds, '--jobs', args.jobs, '--work-dir', args.work_dir,
        *['--fresh'] * args.fresh])


if __name__ == '__main__':
    sys.exit(main())
