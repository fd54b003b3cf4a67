"""Shrinks image files with a trained resizer: ``dsnet-mm resize photos --size 320 --out small``."""
import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from dsnet_mm.files import atomic_write
from dsnet_mm.resizers import pretrained
from dsnet_mm.transforms import Downsize

from PIL import Image, ImageOps
from rich.console import Console
from rich.progress import track
from torchvision.datasets.folder import IMG_EXTENSIONS

EPILOG = """\
Folders are searched with their sub-folders, which --out gets as well. Files keep their name and
format; JPEG and WebP are written with quality 95. Images turned by their EXIF orientation are
turned for good. Images with transparency become RGBA, palette and CMYK images RGB.

Inputs are never overwritten. Files that cannot be read, and outputs that exist already, are left
as they are, listed at the end, and make the exit status 1.
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
            if target.exists() and not args.overwrite:
                raise FileExistsError(f'{target} exists already: give --overwrite or another --out')
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
        'dsnet-mm resize', description='Shrinks image files with a trained resizer.',
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', nargs='+', type=Path, metavar='IN', help='images, or folders')
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument('--size', type=height_and_width, metavar='H[,W]',
                      help='height and width in pixels; one number for both')
    size.add_argument('--scale', type=float, help='factor for both sides')
    size.add_argument('--short-edge', type=int, metavar='PIXELS',
                      help='the shorter side; the ratio is kept')
    parser.add_argument('--weights', help='a trained resizer: a .safetensors file or one of '
                        f'{pretrained.names()} (default: bilinear interpolation)')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='output folder')
    parser.add_argument('--overwrite', action='store_true', help='replace outputs that exist')
    return parser


def plan(images: Iterable[Path], out: Path) -> dict[Path, Path]:
    """Pairs each image with the path of its result.

    Args:
        images (Iterable[Path]): Files and folders.
        out (Path): The output folder. What lies in it is no input.

    Returns:
        dict[Path, Path]: Output by input, sorted within each folder.

    Raises:
        FileNotFoundError: If a path does not exist, or no image is found.
        ValueError: If an output would be an input, or that of another one.
    """
    outputs = {}
    for path in images:
        for source, name in _find(path, out):
            outputs[source] = out / name
    if not outputs:
        raise FileNotFoundError(f'no images in {", ".join(map(str, images))}: looked for '
                                f'{" ".join(IMG_EXTENSIONS)}')
    inputs = {source.resolve() for source in outputs}
    taken: dict[Path, Path] = {}
    for source, target in outputs.items():
        if target.resolve() in inputs:
            raise ValueError(f'{target} is an input, which is never overwritten: '
                             'give another --out')
        other = taken.setdefault(target, source)
        if other != source:
            raise ValueError(f'{other} and {source} would both become {target}: resize them one '
                             'after the other with another --out, or name the folder above both')
    return outputs


def _find(path: Path, out: Path) -> Iterator[tuple[Path, Path]]:
    """The images at a path, each with its name below the output folder."""
    if path.is_file():
        yield path, Path(path.name)
    elif path.is_dir():
        for file in sorted(path.rglob('*')):
            if (file.suffix.lower() in IMG_EXTENSIONS and file.is_file()
                    and not file.resolve().is_relative_to(out.resolve())):
                yield file, file.relative_to(path)
    else:
        raise FileNotFoundError(f'{path} does not exist')


def resize_file(source: Path, target: Path, downsize: Downsize) -> None:
    """Resizes one image file; the other one is complete or does not exist.

    Raises:
        OSError: If the image is broken or cannot be written.
        ValueError: If it has several frames, or is in a format that Pillow only reads.
    """
    try:
        with Image.open(source) as image:
            frames, kind = getattr(image, 'n_frames', 1), image.format
            upright = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises anything from SyntaxError to TypeError here
        raise OSError(f'cannot be read: {error}') from error
    if kind == 'MPO':  # of many cameras: a JPEG file with another image for previews
        frames, kind = 1, 'JPEG'
    if frames > 1:
        raise ValueError(f'has {frames} frames, of which this would keep one')
    if kind not in Image.SAVE:
        raise ValueError(f'Pillow cannot write {kind} files')
    small = downsize(upright)
    options = {}
    if small.mode == upright.mode:  # a profile is for its colour space
        options['icc_profile'] = upright.info.get('icc_profile')
    if kind in ('JPEG', 'WEBP'):
        options.update(quality=95, exif=upright.info.get('exif', b''))
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as unfinished:
        small.save(unfinished, kind, **options)


def height_and_width(text: str) -> tuple[int, ...]:
    """``'320'`` or ``'240,320'``."""
    sides = tuple(int(side) for side in text.split(','))
    return 2 * sides if len(sides) == 1 else sides


if __name__ == '__main__':
    sys.exit(main())
