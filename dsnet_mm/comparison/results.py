"""What a comparison found, as results.json has it: at one size, or a curve over several sizes."""
import json
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from dsnet_mm.comparison.intervals import PairedDifference
from dsnet_mm.files import atomic_write

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
        """The factor that makes percent of a value."""
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
        values: list[tuple[RunResult, dict[str, float | None]]] = [
            (run, getattr(run, part)) for run in self.runs]
        labels = dict.fromkeys(self.classes if part == 'per_class' else ())
        labels.update(dict.fromkeys(label for _, of_run in values for label in of_run))
        return {label: {name: {str(run.seed): value for run, of_run in values
                               if run.variant == name and (value := of_run.get(label)) is not None}
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


class Measured(NamedTuple):
    """A point of a curve at which runs have finished."""

    size: float
    ms: float
    mean: float
    std: float


class Reached(NamedTuple):
    """Where a curve reaches an accuracy."""

    size: float
    ms: float
    exact: bool  # False: already at the smallest size


def measured(points: list[CurvePoint]) -> list[Measured]:
    """The points of a curve at which runs have finished."""
    return [Measured(point.size, point.ms_per_image, point.mean, point.std or 0)
            for point in points if point.mean is not None and point.ms_per_image is not None]


def reached(points: list[CurvePoint], value: float) -> Reached | None:
    """The smallest size at which a curve reaches an accuracy, and the latency there.

    Returns:
        Reached | None: On the straight line between the measured sizes; None if the largest does
        not reach it.
    """
    found = measured(points)
    if found and found[0].mean >= value:
        return Reached(found[0].size, found[0].ms, exact=False)
    for low, high in zip(found, found[1:]):
        if high.mean >= value:
            part = (value - low.mean) / (high.mean - low.mean)
            return Reached(low.size + part * (high.size - low.size),
                           low.ms + part * (high.ms - low.ms), exact=True)
    return None


def read(folder: Path) -> Results | Curve:
    """The contents of results.json in a folder.

    Raises:
        ValueError: As :func:`load`.
    """
    file = folder / 'results.json'
    if 'sizes' in json.loads(file.read_text(encoding='utf-8')):
        return load(Curve, file)
    return load(Results, file)


def load(kind: type[T], file: Path) -> T:
    """Reads a JSON file that :func:`save` wrote.

    Args:
        kind (type): A dataclass, or a list of one.
        file (Path): The file.

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
    plain = [*map(asdict, content)] if isinstance(content, list) else asdict(content)
    with atomic_write(file) as unfinished:
        unfinished.write_text(json.dumps(plain, indent=2) + '\n', encoding='utf-8')


def _build(kind: Any, value: Any) -> Any:
    """Builds a value of a type, with the dataclasses in it, from JSON."""
    if isinstance(kind, type) and is_dataclass(kind):
        kinds = get_type_hints(kind)
        for known, keys, problem in ((kinds, value, 'has an unknown'), (value, kinds, 'lacks the')):
            if missing := [key for key in keys if key not in known]:
                raise KeyError(f'{kind.__name__} {problem} key {missing[0]!r}')
        return kind(**{name: _build(kinds[name], value[name]) for name in kinds})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return [_build(arguments[0], item) for item in value]
    if origin is dict:
        return {key: _build(arguments[1], item) for key, item in value.items()}
    if origin is UnionType:
        return None if value is None else _build(arguments[0], value)
    return value
