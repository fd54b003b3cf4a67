"""``dsnet-mm predict``: an exported file on images and videos.

Needs onnxruntime, numpy, OpenCV and rich; no PyTorch.
"""
import argparse
from pathlib import Path

from dsnet_mm.deploy.runtime.images import find
from dsnet_mm.deploy.runtime.predict import Results
from dsnet_mm.deploy.runtime.session import Session

from rich.console import Console
from rich.progress import Progress

EPILOG = """\
Folders are searched with their sub-folders, which --out gets as well. Of every image and video OUT
gets a drawn one in drawn/, and besides

- of a detector results.json: COCO's layout of results, a list of {"image_id", "category_id",
  "bbox": [x, y, width, height], "score"}, where category_id is the label, from 0 on, image_id
  counts images and frames from 0 on, and "file_name" and, in videos, "frame" say which one it is;
- of a segmenter labels/: a PNG file of labels for each image; for each frame in a video's folder.

Inputs are never overwritten. Files that cannot be read, and outputs that exist already, are left
as they are, listed at the end, and make the exit status 1. After Ctrl-C there are the results of
what was predicted until then.
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
        inputs = find(args.inputs, args.out)
        results = Results(session, inputs, args.out, args.score_thr, args.overwrite)
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
        description='Finds boxes or labels in images and videos with an exported file.',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', type=Path, metavar='model.onnx',
                        help='written by "dsnet-mm export deploy"')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='IN',
                        help='images, videos, or folders')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='output folder')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='boxes with a smaller score are not drawn (default: 0.3)')
    parser.add_argument('--threads', type=int, default=0, help='of onnxruntime (default: cores)')
    parser.add_argument('--overwrite', action='store_true', help='replace outputs that exist')
    return parser
