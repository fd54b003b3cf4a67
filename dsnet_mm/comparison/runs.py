"""The runs of a comparison: their files, their progress, and their processes."""
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from dsnet_mm.engine.checkpoints import latest_checkpoint

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(eq=False)
class Run:
    """One training: a variant with a seed."""
    variant: str
    seed: int
    options: dict  # that the variant sets in the config
    folder: Path  # for logs, checkpoints and the result
    config: str  # its text
    total: int  # epochs or iterations
    metric: str  # the one to show, as the evaluator names it
    note: str = ''  # what messages add to its name

    def __post_init__(self) -> None:
        # Next to the folder: mmengine writes its own copy into it.
        self.config_file = self.folder.with_name(f'{self.folder.name}.py')
        self.log = self.folder / 'output.log'
        self.result_file = self.folder / 'result.json'
        self.process: subprocess.Popen
        self.slot = 0  # its place among the runs at the same time, which chooses its GPU

    def __str__(self) -> str:
        return ', '.join(filter(None, (self.variant, self.note, f'seed {self.seed}')))

    @property
    def finished(self) -> bool:
        """Whether it is trained and evaluated."""
        return self.result_file.exists()

    def check(self) -> None:
        """Raises a ValueError if its folder has a result or a checkpoint of another config."""
        is_other = self.config_file.exists() and self.config_file.read_text() != self.config
        if is_other and (self.finished or self.checkpoint()):
            raise ValueError(f'{self.folder} holds a run of another config or of other options: '
                             'choose another --work-dir, or start over with --fresh')

    def prepare(self) -> None:
        """Creates its folder and writes its config."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(self.config)

    def clear(self) -> None:
        """Deletes its config and its folder."""
        self.config_file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def checkpoint(self) -> str | None:
        """Path of the latest checkpoint; None if there is none."""
        return latest_checkpoint(self.folder)

    def records(self) -> list[dict]:
        """The scalars that mmengine logged, over all resumptions."""
        return [json.loads(line) for file in self._scalars()
                for line in file.read_text().splitlines() if line.endswith('}')]

    def done(self) -> int:
        """The number of finished epochs or iterations."""
        if self.finished:
            return self.total
        return max((r.get('epoch', r.get('step', 0)) for r in self.records()), default=0)

    def curve(self) -> list[list[float]]:
        """The metric after each validation during training: (epoch or iteration, value)."""
        points = {r['step']: r[self.metric] for r in self.records() if self.metric in r}
        return [[step, points[step]] for step in sorted(points)]

    def seconds(self) -> float:
        """Wall time in seconds, over all resumptions."""
        return sum(
            file.stat().st_mtime
            - datetime.strptime(file.parents[1].name, '%Y%m%d_%H%M%S').timestamp()
            for file in self._scalars())

    def end_of_log(self) -> str:
        """The last lines of its output."""
        return '\n'.join(self.log.read_text().splitlines()[-20:])

    def start(self, launcher: str, processes: int, lock: IO) -> None:
        """Starts its worker, which resumes from the latest checkpoint and keeps the lock open.

        ``processes`` is their number with the launcher ``'pytorch'``; with ``'none'``, the number
        of GPUs that the runs share.
        """
        # One thread each: two runs side by side are faster than one with two threads. The other
        # settings keep glibc from returning large blocks to the system after every operation.
        environment = {'OMP_NUM_THREADS': '1', 'MALLOC_MMAP_THRESHOLD_': '1000000000',
                       'MALLOC_TRIM_THRESHOLD_': '4000000000', **os.environ}
        command = [sys.executable, '-m']
        if launcher == 'pytorch':
            command += [
                'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}', '-m']
        elif processes > 1:  # several GPUs, one for each run
            visible = os.environ.get('CUDA_VISIBLE_DEVICES')
            gpus = visible.split(',') if visible else [str(i) for i in range(processes)]
            environment['CUDA_VISIBLE_DEVICES'] = gpus[self.slot % len(gpus)]
        command += [
            'dsnet_mm.comparison.worker', str(self.config_file), launcher, str(os.getpid())]
        with self.log.open('a') as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log,
                                            stderr=subprocess.STDOUT, pass_fds=[lock.fileno()])

    def _scalars(self) -> list[Path]:
        return sorted(self.folder.glob('*/vis_data/scalars.json'))


@contextmanager
def locked(folder: Path) -> Iterator[IO]:
    """Locks a folder until all workers have ended; ValueError if another comparison holds it."""
    with (folder / 'lock').open('w') as lock:
        for _ in range(5):  # workers need a second to notice that their comparison was killed
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(1)
        else:
            raise ValueError(f'another comparison is running in {folder}: wait for it, or choose '
                             'another --work-dir')
        yield lock


def run_all(runs: list[Run], jobs: int, launcher: str, processes: int, lock: IO) -> list[Run]:
    """Runs what is not finished, ``jobs`` at a time, shows the progress, and returns what failed.

    The other arguments are those of :meth:`Run.start`.
    """
    waiting = [run for run in runs if not run.finished]
    running: list[Run] = []
    with Progress(TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
                  TextColumn('{task.fields[value]}'), TimeRemainingColumn(),
                  speed_estimate_period=3600) as progress:
        tasks = {run: progress.add_task(str(run), total=run.total, start=False, value='')
                 for run in runs}
        whole = progress.add_task('all', total=sum(run.total for run in runs), value='')

        def show(run: Run) -> None:
            curve = run.curve()
            progress.update(tasks[run], completed=run.done(),
                            value=f'{run.metric} {curve[-1][1]:.4g}' if curve else '')
            progress.update(whole, completed=sum(task.completed for task in progress.tasks
                                                 if task.id != whole))

        for run in runs:
            show(run)
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    run = waiting.pop(0)
                    run.slot = min(set(range(jobs)) - {other.slot for other in running})
                    run.start(launcher, processes, lock)
                    progress.start_task(tasks[run])
                    running.append(run)
                time.sleep(1)
                for run in list(running):
                    ended = run.process.poll() is not None
                    show(run)
                    if ended:
                        running.remove(run)
                    if ended and not run.finished:
                        progress.update(tasks[run], description=f'[red]{run} failed[/]')
                        progress.stop_task(tasks[run])
        finally:
            for run in running:
                run.process.terminate()
            for run in running:
                run.process.wait()
    return [run for run in runs if not run.finished]
