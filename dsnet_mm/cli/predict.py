"""``dsnet-mm predict``: runs an exported file on images and videos, without PyTorch."""
import argparse
from pathlib import Path

from dsnet_mm.deploy.runtime.images import find_media
from dsnet_mm.deploy.runtime.results import ResultWriter
from dsnet_mm.deploy.runtime.session import Session

from rich.console import Console
from rich.progress import Progress

EPILOG = """\
Folders are searched with their sub-folders, whose structure is kept in DIR. DIR gets every image
and video with the results drawn on it, in drawn/, and

- for a detector results.json: a list of {"image_id", "category_id", "bbox": [x, y, width, height],
  "score"} as in COCO, where category_id is the label, counted from 0, image_id counts images and
  frames from 0, and "file_name" and, for videos, "frame" name the source;
- for a segmenter labels/: a PNG label map of each image; those of a video's frames in a folder.

Inputs are never overwritten. Files that cannot be read and results that exist are skipped, listed
at the end, and make the exit status 1. Ctrl-C keeps the results so far.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Returns:
        int: Exit status: 0 if everything was predicted, 1 if something was not.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.threads < 0:
        parser.error(f'--threads must not be negative, got {args.threads}')
    if not 0 <= args.score_thr <= 1:
        parser.error(f'--score-thr must be from 0 to 1, got {args.score_thr}')
    try:
        session = Session(args.model, args.threads)
        inputs = find_media(args.inputs, args.out)
        results = ResultWriter(session, inputs, args.out, args.score_thr, args.overwrite)
    except (OSError, ValueError) as error:
        parser.error(str(error))

    console = Console(stderr=True)
    failures: dict[Path, Exception] = {}
    done = 0
    try:
        with Progress(console=console) as progress:
            task = progress.add_task('Predicting', total=len(inputs))
            for source, name in inputs.items():
                try:
                    results.add(source, name, progress)
                    done += 1
                except (OSError, ValueError) as error:
                    failures[source] = error
                progress.advance(task)
    except KeyboardInterrupt:
        console.print('Interrupted. --overwrite starts over.')
    results.finish()
    report = [f'{source}: {error}' for source, error in failures.items()]
    report.append(f'{done} of {len(inputs)} files predicted into {args.out}')
    console.print(*report, sep='\n', markup=False, highlight=False, soft_wrap=True)
    return int(done < len(inputs))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        'dsnet-mm predict', epilog=EPILOG,
        description='Runs an exported file on images and videos.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy"')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN',
                        help='images, videos, or folders')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='output folder')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='boxes with a smaller score are not drawn (default: 0.3)')
    parser.add_argument('--threads', type=int, default=0,
                        help='of onnxruntime (default: one per core)')
    parser.add_argument('--overwrite', action='store_true', help='replace existing results')
    return parser
