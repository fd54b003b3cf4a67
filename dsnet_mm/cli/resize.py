"""``dsnet-mm resize``: downsizes image files with a trained resizer."""
import argparse
from collections.abc import Iterable
from pathlib import Path

from dsnet_mm.files import atomic_write, check_distinct, check_new, find_inputs
from dsnet_mm.resizers import pretrained
from dsnet_mm.transforms import Downsize

from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torchvision.datasets.folder import IMG_EXTENSIONS

EPILOG = """\
Folders are searched with their sub-folders, whose structure is kept in DIR. Files keep their name
and format; JPEG and WebP are written with quality 95. The EXIF orientation is applied to the
pixels. Images with transparency become RGBA, palette and CMYK images RGB.

Inputs are never overwritten. Files that cannot be read and outputs that exist are skipped, listed
at the end, and make the exit status 1.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        int: Exit status: 0 if every image was resized, 1 if some were not.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    try:
        downsize = Downsize(args.size, args.scale, args.short_edge, args.weights)
        outputs = plan(args.images, args.out)
    except (OSError, ValueError, TypeError) as error:
        parser.error(str(error))

    Image.init()  # all formats
    console = Console(stderr=True)
    failures = {}
    for source, target in track(outputs.items(), 'Resizing', console=console):
        try:
            check_new(target, (), args.overwrite)
            resize_file(source, target, downsize)
        except (OSError, ValueError) as error:
            failures[source] = error
    report = [f'{source}: {error}' for source, error in failures.items()]
    done = len(outputs) - len(failures)
    report.append(f'{done} of {len(outputs)} images resized into {args.out}')
    console.print(*report, sep='\n', markup=False, highlight=False, soft_wrap=True)
    return int(bool(failures))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'dsnet-mm resize', description='Downsizes image files with a trained resizer.',
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', nargs='+', type=Path, metavar='IN', help='images, or folders')
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument('--size', type=height_and_width, metavar='H[,W]',
                      help='height and width in pixels; one number for both')
    size.add_argument('--scale', type=float, help='factor for both sides')
    size.add_argument('--short-edge', type=int, metavar='PIXELS',
                      help='length of the shorter side; the aspect ratio is kept')
    parser.add_argument('--weights', help='a trained resizer: a .safetensors file or one of '
                        f'{pretrained.names()} (default: bilinear interpolation)')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='output folder')
    parser.add_argument('--overwrite', action='store_true', help='replace existing outputs')
    return parser


def plan(paths: Iterable[Path], out: Path) -> dict[Path, Path]:
    """The output file of each input file.

    Args:
        paths (Iterable[Path]): Files and folders.
        out (Path): The output folder.

    Raises:
        FileNotFoundError: If a path does not exist, or no image is found.
        NotADirectoryError: If the output folder is a file.
        ValueError: If an output would be an input, or that of another input.
    """
    outputs = {source: out / name
               for source, name in find_inputs(paths, out, IMG_EXTENSIONS).items()}
    inputs = {source.resolve() for source in outputs}
    for output in outputs.values():
        check_new(output, inputs, overwrite=True)  # existing ones are reported one by one
    check_distinct(outputs)
    return outputs


def resize_file(source: Path, target: Path, downsize: Downsize) -> None:
    """Resizes one image file; the output is written completely or not at all.

    Raises:
        OSError: If the image is broken or cannot be written.
        ValueError: If it has several frames, or is in a format that Pillow only reads.
    """
    try:
        with Image.open(source) as image:
            frames, kind = getattr(image, 'n_frames', 1), image.format
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's errors share no base class
        raise OSError(f'cannot be read: {error}') from error
    if kind == 'MPO':  # a camera's JPEG file with a second image for previews
        frames, kind = 1, 'JPEG'
    if frames > 1:
        raise ValueError(f'has {frames} frames, of which only one would be kept')
    if kind not in Image.SAVE:
        raise ValueError(f'Pillow cannot write {kind} files')
    resized = downsize(upright)
    options = {}
    if resized.mode == upright.mode:  # a profile belongs to its colour space
        options['icc_profile'] = upright.info.get('icc_profile')
    if kind in ('JPEG', 'WEBP'):
        options.update(quality=95, exif=upright.info.get('exif', b''))
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as unfinished:
        resized.save(unfinished, kind, **options)


def height_and_width(text: str) -> tuple[int, ...]:
    """``'320'`` or ``'240,320'``."""
    sides = tuple(int(side) for side in text.split(','))
    return 2 * sides if len(sides) == 1 else sides
