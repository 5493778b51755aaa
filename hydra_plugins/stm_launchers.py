"""Launchers of the jobs of a sweep: on this machine's GPUs, on a SLURM cluster, or none at all.

Hydra finds launchers only in this namespace, and imports the file at every start: what is slow to
import is imported where it is used.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.utils import JobReturn, JobStatus, configure_log
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One job of a sweep: its number, its overrides, and the run folder that it writes."""

    number: int
    overrides: list[str]
    folder: Path


class SweepLauncher(Launcher):
    """Base of the launchers below, which know their jobs before they start them."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives; called by Hydra once, before any job."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def jobs(self, job_overrides: Sequence[Sequence[str]], first: int) -> list[Job]:
        """Return the jobs, numbered from ``first``, with the folders that Hydra would give them."""
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        jobs = []
        for number, overrides in enumerate(job_overrides, first):
            config = self.hydra_context.config_loader.load_sweep_config(
                self.config, list(overrides)
            )
            with open_dict(config):
                config.hydra.job.num = config.hydra.job.id = number
            folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir).absolute()
            jobs.append(Job(number, list(overrides), folder))
        return jobs


def check_jobs_per_gpu(number: int) -> None:
    """Refuse what is no number of jobs.

    Raises:
        ValueError: If it is no whole number of at least 1.
    """
    if not isinstance(number, int) or number < 1:
        raise ValueError(
            f"hydra.launcher.jobs_per_gpu is a whole number of at least 1, not {number!r}"
        )


class DryRunLauncher(SweepLauncher):
    """Prints the jobs and their folders, starts none and leaves no files (``--dry-run``).

    Args:
        jobs_per_gpu: That of the launcher that was chosen, which is checked.

    Raises:
        ValueError: If ``jobs_per_gpu`` is no number of jobs.
    """

    def __init__(self, jobs_per_gpu: int) -> None:
        check_jobs_per_gpu(jobs_per_gpu)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Print the jobs; called by Hydra."""
        for job in self.jobs(job_overrides, initial_job_idx):
            print(f"job {job.number}: {' '.join(job.overrides)}\n    {job.folder}")
        sweep = Path(self.config.hydra.sweep.dir)
        # Hydra's sweeper has just written it. The folder of a sweep to be resumed holds more.
        (sweep / "multirun.yaml").unlink(missing_ok=True)
        with suppress(OSError):
            sweep.rmdir()
        return []


class LocalLauncher(SweepLauncher):
    """One process per job on this machine, as many at a time as there are GPUs or groups of cores.

    A job is the command that a user would type for it alone. It can fail or be killed without the
    others, may start further processes (``trainer=ddp``), and is resumed in its folder when the
    sweep is started again. Its output is in console.log in its folder. It ends, and saves its step
    as at SIGTERM, when the process of the sweep is gone.

    Args:
        gpus_per_job: Number of GPUs that are visible to a job.
        jobs_per_gpu: Number of jobs that share a GPU, if each job has one.
        cores_per_job: CPU cores of a job, on a machine without GPUs; None: the jobs share all
            cores, at least one for each that runs.

    Raises:
        ValueError: If ``jobs_per_gpu`` is no number of jobs.
    """

    def __init__(self, gpus_per_job: int, jobs_per_gpu: int, cores_per_job: int | None) -> None:
        check_jobs_per_gpu(jobs_per_gpu)
        self.gpus_per_job = gpus_per_job
        self.jobs_per_gpu = jobs_per_gpu
        self.cores_per_job = cores_per_job

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs, each as soon as a place is free.

        Raises:
            RuntimeError: When all jobs have ended, if some did not succeed.
        """
        from stm_experiments.app.launching import cpu_cores

        waiting = deque(self.jobs(job_overrides, initial_job_idx))
        cores = self.cores_per_job
        if cores is None:
            cores = max(1, cpu_cores() // len(waiting))
        free = deque(places(self.gpus_per_job, self.jobs_per_gpu, cores))
        total, failed = len(waiting), 0
        log.info(f"{total} jobs, {len(free)} at a time, in {self.config.hydra.sweep.dir}")
        running: dict[subprocess.Popen[bytes], tuple[Job, dict[str, str]]] = {}
        # A batch system that ends this process with SIGTERM shall end its jobs too.
        handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            while waiting or running:
                while waiting and free:
                    job, place = waiting.popleft(), free.popleft()
                    running[self.start(job, place)] = job, place
                time.sleep(0.1)
                for process in [p for p in running if p.poll() is not None]:
                    job, place = running.pop(process)
                    free.append(place)
                    failed += process.returncode != 0
                    log.info(f"job {job.number} {ending(process.returncode, job.folder)}")
        finally:
            for process in running:
                process.terminate()  # each saves its checkpoint
            for process in running:
                process.wait()
            signal.signal(signal.SIGTERM, handler)
        if failed:
            others = "; the others did" if failed < total else ""
            raise RuntimeError(f"{failed} of {total} jobs did not succeed{others}")
        return [JobReturn(overrides=o, status=JobStatus.COMPLETED) for o in job_overrides]

    def start(self, job: Job, place: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start the process of a job with the environment of its place."""
        from stm_experiments.app.orphans import ENDS_WITH_STDIN

        job.folder.mkdir(parents=True, exist_ok=True)
        devices = place["CUDA_VISIBLE_DEVICES"]
        place_name = f"GPU {devices}" if devices else f"{place['OMP_NUM_THREADS']} CPU threads"
        log.info(f"job {job.number} on {place_name}: {' '.join(job.overrides)}")
        # Inside a SLURM allocation, Lightning would take the allocation's tasks for its own.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_")}
        with (job.folder / "console.log").open("ab") as console:
            return subprocess.Popen(
                self.command(job),
                env=inherited | place | {ENDS_WITH_STDIN: "1"},
                stdin=subprocess.PIPE,  # is closed when this process ends, in whatever way
                stdout=console,
                stderr=subprocess.STDOUT,
            )

    def command(self, job: Job) -> list[str]:
        """Return the command line that runs a job alone, in its folder of the sweep."""
        from stm_experiments.app.launching import quote_value

        hydra = self.config.hydra
        of_sweep = ("hydra.mode=", "hydra.run.", "hydra.sweep", "hydra/sweeper", "hydra.launcher")
        skipped = (*of_sweep, "hydra/launcher")
        others = [o for o in hydra.overrides.hydra if not o.startswith(skipped)]
        sources = hydra.runtime.config_sources
        folders = [source.path for source in sources if source.provider == "command-line"]
        return [
            *(sys.executable, "-m", "stm_experiments.app.orphans"),
            f"stm_experiments.{hydra.job.config_name}",
            *(f"--config-dir={folder}" for folder in folders),
            *(*job.overrides, *others),
            f"hydra.run.dir={quote_value(str(job.folder))}",
            f"hydra.sweep.dir={quote_value(str(job.folder.parent))}",
            f"hydra.job.num={job.number}",
        ]


def places(gpus_per_job: int, jobs_per_gpu: int, cores_per_job: int) -> list[dict[str, str]]:
    """Return the environment of each job that can run at the same time: GPUs and CPU threads.

    A value of OMP_NUM_THREADS is kept; without one, the jobs share the cores.

    Raises:
        ValueError: If a job needs more than the machine has, or jobs share several GPUs.
    """
    import torch

    from stm_experiments.app.launching import cpu_cores

    cores = cpu_cores()
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = visible.split(",")[:count] if visible else [str(number) for number in range(count)]
    size, total, unit = (
        (gpus_per_job, len(gpus), "gpus") if gpus else (cores_per_job, cores, "cores")
    )
    if not isinstance(size, int) or not 1 <= size <= total:
        raise ValueError(
            f"hydra.launcher.{unit}_per_job is from 1 to {total}, what this machine has, not {size}"
        )
    if gpus and size > 1 and jobs_per_gpu > 1:
        raise ValueError(
            f"hydra.launcher.jobs_per_gpu is 1 where a job has several GPUs, not {jobs_per_gpu}"
        )
    groups = [",".join(gpus[i * size : (i + 1) * size]) for i in range(total // size)]
    groups *= jobs_per_gpu if gpus else 1
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // len(groups)))
    return [{"CUDA_VISIBLE_DEVICES": group, "OMP_NUM_THREADS": threads} for group in groups]


def ending(code: int, folder: Path) -> str:
    """Describe how a job ended.

    Args:
        code: Exit code of its process.
        folder: Its folder.
    """
    if code == 0:
        return f"finished: {folder}"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}: {folder}"
    output = (folder / "console.log").read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in output if line.startswith("error: ")]
    return f"failed: {errors[-1].removeprefix('error: ') if errors else folder / 'console.log'}"


class SlurmLauncher(SweepLauncher):
    """Submits the jobs as an array to a SLURM cluster and waits for all of them.

    Args:
        settings: Those of ``submitit_slurm`` of hydra-submitit-launcher.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Submit the jobs and wait for them.

        Raises:
            RuntimeError: If the extra is not installed; or, when all jobs have ended, if one of
                them has no result.
        """
        try:
            from hydra_plugins.hydra_submitit_launcher.submitit_launcher import (
                SlurmLauncher as Submitit,
            )
            from submitit import SlurmJob
            from submitit.core.utils import UncompletedJobError
        except ImportError:
            raise RuntimeError(
                "hydra/launcher=slurm needs: pip install 'stm_experiments[slurm]'"
            ) from None
        jobs = self.jobs(job_overrides, initial_job_idx)
        launcher = Submitit(**self.settings)
        launcher.setup(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        folder = Path(launcher.params["submitit_folder"])
        earlier = set(submitted(folder))
        try:
            returns: Sequence[JobReturn] = launcher.launch(job_overrides, initial_job_idx)
            return returns
        except UncompletedJobError:
            # That launcher stops at the first job that was killed, while the others still run.
            lost = []
            for number in set(submitted(folder)) - earlier:
                if isinstance(SlurmJob(folder, number).exception(), UncompletedJobError):
                    lost.append(number)
            raise RuntimeError(
                f"{len(lost)} of {len(jobs)} jobs were killed or could not begin (SLURM's numbers "
                f"{', '.join(sorted(lost))}): see their folders in {folder.parent}"
            ) from None


def submitted(folder: Path) -> list[str]:
    """Return SLURM's numbers of the jobs that were submitted from a folder, ``.../%j``."""
    suffix = "_submitted.pkl"
    return [path.name.removesuffix(suffix) for path in folder.parent.glob(f"*/*{suffix}")]
