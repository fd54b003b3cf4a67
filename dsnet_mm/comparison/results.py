"""What a comparison found, as results.json has it: at one size, or a curve over several sizes."""
import json
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from dsnet_mm.comparison.intervals import PairedDifference
from dsnet_mm.files import atomic_write

import numpy as np

T = TypeVar('T')


@dataclass
class Evaluation:
    """The evaluation of one trained model, as result.json in the folder of its run has it."""
    metrics: dict[str, float]
    per_class: dict[str, float | None]
    per_size: dict[str, float | None]
    device: str


@dataclass
class RunResult:
    """A finished run: a variant trained with a seed."""
    variant: str
    seed: int
    value: float  # of the metric
    per_class: dict[str, float | None]
    per_size: dict[str, float | None]
    device: str
    curve: list[list[float]]  # step and value of each validation during training
    wall_time_s: float


@dataclass
class FailedRun:
    """A run that failed, with the end of its log."""
    variant: str
    seed: int
    log: str


@dataclass
class VariantResult:
    """A variant over all its seeds; None where no run has finished."""
    seeds: dict[str, float]  # the metric by seed
    mean: float | None
    std: float | None  # sample standard deviation
    params: int | None  # of the whole model
    ms_per_image: float | None  # median latency
    resizer: dict[str, Any]  # its config
    options: dict[str, Any]  # what else the variant sets in the config
    resizer_params: int | None
    image_change: float | None  # of the resized image by training, in percent


@dataclass
class Pixels:
    """(height, width) of the first validation image before and after the resizer."""
    input: list[int]
    output: list[int]


@dataclass(kw_only=True)
class About:
    """What was compared, how and where."""
    config: str
    mode: str  # 'train', 'resizer' (with a frozen model) or 'finetune'
    command: str
    checkpoint: str | None  # of --from
    metric: str
    unit: str  # 'fraction' or 'percent', of all values of the metric
    versions: dict[str, str]
    machine: str
    resolved_config: str

    @property
    def scale(self) -> int:
        """The factor from a value of the metric to percent."""
        return {'fraction': 100, 'percent': 1}[self.unit]


@dataclass(kw_only=True)
class Results(About):
    """A comparison at one size."""
    variants: dict[str, VariantResult]  # the others are compared with the first
    paired: dict[str, PairedDifference]  # 'b-a': of another one, b, to the first, a
    step: str  # 'epoch' or 'iteration', of the runs' curves
    classes: list[str]
    pixels: Pixels
    runs: list[RunResult]
    failed: list[FailedRun]

    def pairs(self) -> dict[str, PairedDifference]:
        """The difference of each other variant to the first one."""
        first, *others = self.variants
        return {name: self.paired[f'{name}-{first}'] for name in others}

    def breakdown(self, part: str) -> dict[str, dict[str, dict[str, float]]]:
        """The values of ``'per_class'`` or ``'per_size'``, by label, variant and seed."""
        labels = dict.fromkeys(self.classes if part == 'per_class' else ())
        labels.update(dict.fromkeys(label for run in self.runs for label in getattr(run, part)))
        return {label: {name: {str(run.seed): value for run in self.runs if run.variant == name
                               and (value := getattr(run, part).get(label)) is not None}
                        for name in self.variants} for label in labels}


@dataclass
class CurvePoint:
    """A variant at one size; ``paired`` is its difference to the first variant at that size."""
    size: float
    seeds: dict[str, float]
    mean: float | None
    std: float | None
    ms_per_image: float | None
    paired: PairedDifference | None


@dataclass(kw_only=True)
class Curve(About):
    """Comparisons at several sizes, ascending; ``variants`` has a point for each size."""
    sizes: list[float]
    pixels: list[Pixels]
    variants: dict[str, list[CurvePoint]]
    failed: list[FailedRun]


def measured(points: list[CurvePoint]) -> np.ndarray:
    """Size, latency, mean and standard deviation (4, N) of the points where runs have finished."""
    found = [(point.size, point.ms_per_image, point.mean, point.std or 0)
             for point in points if point.mean is not None and point.ms_per_image is not None]
    return np.array(found).reshape(-1, 4).T


def reached(points: list[CurvePoint], value: float) -> tuple[float, float, bool] | None:
    """The smallest size at which a curve reaches a value of the metric, and the latency there.

    Both are linear between the measured sizes; the third value is False where they are not exact
    because the smallest size reaches it already. None if no size does.
    """
    sizes, times, means, _ = measured(points)
    enough = np.flatnonzero(means >= value)
    if not len(enough):
        return None
    if enough[0] == 0:
        return float(sizes[0]), float(times[0]), False
    ends = [enough[0] - 1, enough[0]]
    size, time = (float(np.interp(value, means[ends], row[ends])) for row in (sizes, times))
    return size, time, True


def read(folder: Path) -> Results | Curve:
    """The contents of results.json in a folder; raises ValueError as :func:`load`."""
    file = folder / 'results.json'
    if 'sizes' in json.loads(file.read_text(encoding='utf-8')):
        return load(Curve, file)
    return load(Results, file)


def load(kind: type[T], file: Path) -> T:
    """Reads a dataclass, or a list of one, from a JSON file that :func:`save` wrote.

    Raises:
        ValueError: If it has other keys, as that of another version has.
    """
    try:
        return _build(kind, json.loads(file.read_text(encoding='utf-8')))
    except KeyError as error:
        raise ValueError(
            f'{file} is of another version of dsnet-mm: {error.args[0]}. Delete it and run the '
            'same command again: it keeps finished trainings') from None


def save(content: Any, file: Path) -> None:
    """Writes a dataclass, or a list of them, as JSON, atomically."""
    with atomic_write(file) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, default=asdict) + '\n', 'utf-8')


def _build(kind: Any, value: Any) -> Any:
    """A value of a type, with the dataclasses in it, from JSON."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        kinds = get_type_hints(kind)
        if wrong := sorted(kinds.keys() ^ value.keys()):
            raise KeyError(f'{kind.__name__} has unknown or missing keys: {", ".join(wrong)}')
        return kind(**{name: _build(kinds[name], value[name]) for name in kinds})
    if origin is list:
        return [_build(arguments[0], item) for item in value]
    if origin is dict:
        return {key: _build(arguments[1], item) for key, item in value.items()}
    if origin is UnionType and value is not None:
        return _build(arguments[0], value)
    return value
