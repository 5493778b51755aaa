"""Sweeps through launchers: each job alone in its folder, with its own devices, and a dry run."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins

from hydra_plugins import stm_launchers
from stm_experiments.app.launching import suits_processes
from stm_experiments.benchmarks.kills.processes import start, wait
from stm_experiments.train import main
from stm_experiments.training import Reconstruction


@pytest.fixture
def machine(monkeypatch):
    """Return a function: pretend to have so many GPUs, of which some are chosen, and cores."""

    def has(gpus, cores, chosen=None):
        if chosen:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)

    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return has


@pytest.fixture
def jobs_run(monkeypatch):
    """Return a function: let each job be a short program, told its number, and no training.

    It returns the list of the commands that would have run.
    """
    Plugins.instance()  # when Hydra looks for launchers it defines their classes anew
    real = stm_launchers.LocalLauncher.command

    def run(program):
        commands = []

        def short(launcher, job):
            commands.append(real(launcher, job))
            return [sys.executable, "-S", "-c", program, str(job.number)]

        monkeypatch.setattr(stm_launchers.LocalLauncher, "command", short)
        return commands

    return run


LOCAL = "hydra/launcher=local_gpus"
TELL = """
import os, sys, time
saw, start = [os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")], time.time()
time.sleep(.3)
print(saw[0] or "none", saw[1], start, time.time())
"""


def told(sweep):
    """What jobs that ran ``TELL`` saw, in the order of their numbers."""
    folders = sorted(path for path in sweep.iterdir() if path.is_dir())
    return [(folder / "console.log").read_text().split() for folder in folders]


def most_at_a_time(rows):
    times = [(float(row[2]), float(row[3])) for row in rows]
    return max(sum(first <= start < last for first, last in times) for start, _ in times)


@pytest.mark.parametrize(
    ("gpus", "chosen", "shares", "devices"),
    [
        (2, None, (1, 1), {"0", "1"}),
        (2, "3,GPU-ab", (1, 1), {"3", "GPU-ab"}),
        (4, None, (2, 1), {"0,1", "2,3"}),
        (1, None, (1, 2), {"0"}),
        (0, None, (1, 2), {"none"}),
    ],
    ids=["two GPUs", "two that were chosen", "pairs", "one GPU for two jobs", "cores"],
)
def test_each_job_has_its_own_devices_and_as_many_run_as_there_are(
    command, machine, jobs_run, tmp_path, gpus, chosen, shares, devices
):
    machine(gpus, cores=8, chosen=chosen)
    jobs_run(TELL)
    settings = (
        f"hydra.launcher.gpus_per_job={shares[0]}", f"hydra.launcher.jobs_per_gpu={shares[1]}",
        "hydra.launcher.cores_per_job=4",
    )  # fmt: skip
    code, _, errors = command(
        main, "-m", "seed=0,1,2,3", LOCAL, *settings, f"hydra.sweep.dir={tmp_path}"
    )
    assert code == 0, errors
    rows = told(tmp_path)
    assert len(rows) == 4
    assert {row[0] for row in rows} == devices
    assert {row[1] for row in rows} == {"4"}
    assert most_at_a_time(rows) <= 2
    for device in devices - {"none"}:
        assert most_at_a_time([row for row in rows if row[0] == device]) == shares[1]


def test_the_threads_that_a_user_chose_are_kept(command, machine, jobs_run, monkeypatch, tmp_path):
    machine(gpus=0, cores=8)
    jobs_run(TELL)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    code, _, errors = command(main, "-m", "seed=0,1", LOCAL, f"hydra.sweep.dir={tmp_path}")
    assert code == 0, errors
    assert [row[1] for row in told(tmp_path)] == ["3", "3"]


def test_without_a_choice_each_core_has_a_job(command, machine, jobs_run, tmp_path):
    machine(gpus=0, cores=2)
    jobs_run(TELL)
    code, _, errors = command(main, "-m", "seed=0,1,2", f"hydra.sweep.dir={tmp_path}")
    assert code == 0, errors
    rows = told(tmp_path)
    assert [row[1] for row in rows] == ["1", "1", "1"]
    assert most_at_a_time(rows) == 2


def test_few_jobs_share_all_cores(command, machine, jobs_run, tmp_path):
    machine(gpus=0, cores=8)
    jobs_run(TELL)
    code, _, errors = command(main, "-m", "seed=0,1", f"hydra.sweep.dir={tmp_path}")
    assert code == 0, errors
    assert [row[1] for row in told(tmp_path)] == ["4", "4"]


@pytest.mark.parametrize(
    ("gpus", "cores", "chosen"),
    [(1, 2, []), (0, 1, []), (0, 2, ["hydra/launcher=basic"]), (0, 2, ["hydra/sweeper=basic"])],
    ids=["a GPU", "one core", "launcher", "sweeper"],
)
def test_other_sweeps_keep_their_launcher(machine, compose_config, gpus, cores, chosen):
    machine(gpus, cores)
    compose_config(*chosen)
    assert not suits_processes(HydraConfig.get())


def test_jobs_know_the_config_folders_of_their_sweep(command, machine, tmp_path, jobs_run):
    folder = tmp_path / "conf, mine" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\nseed: 5\n")
    machine(gpus=0, cores=2)
    commands = jobs_run("")
    sweep = ("-m", "experiment=mine", "seed=0,1", f"hydra.sweep.dir='{tmp_path / 'sweep'}'")
    code, _, errors = command(main, "--config-dir", folder.parent, *sweep)
    assert code == 0, errors
    assert len(commands) == 2
    assert all(f"--config-dir={folder.parent}" in words for words in commands)


@pytest.mark.parametrize("given", ["gpus_per_job=3", "gpus_per_job=0"])
def test_more_devices_than_there_are_is_an_error(command, machine, tmp_path, given):
    machine(gpus=2, cores=2)
    code, _, errors = command(
        main, "-m", "seed=0,1", LOCAL, f"hydra.launcher.{given}", f"hydra.sweep.dir={tmp_path}"
    )
    assert code == 1
    assert "error: hydra.launcher.gpus_per_job is from 1 to 2, what this machine has" in errors


@pytest.mark.parametrize(
    ("each", "shared", "flags"), [(2, 2, ()), (1, 0, ()), (1, 0, ("--dry-run",))]
)
def test_jobs_that_cannot_share_gpus_are_an_error(command, machine, tmp_path, each, shared, flags):
    machine(gpus=2, cores=2)
    settings = (f"hydra.launcher.gpus_per_job={each}", f"hydra.launcher.jobs_per_gpu={shared}")
    code, _, errors = command(
        main, "-m", *flags, "seed=0,1", LOCAL, *settings, f"hydra.sweep.dir={tmp_path}"
    )
    assert code == 1
    wanted = "1 where a job has several GPUs" if shared else "a whole number of at least 1"
    assert f"error: hydra.launcher.jobs_per_gpu is {wanted}, not {shared}" in errors


def test_a_job_that_fails_or_is_killed_does_so_alone(command, machine, jobs_run, tmp_path):
    machine(gpus=0, cores=2)
    jobs_run(
        "import os, sys\n"
        "if sys.argv[1] == '0': sys.exit('error: too small')\n"
        "if sys.argv[1] == '1': os.kill(os.getpid(), 9)\n"
        "if sys.argv[1] == '2': raise KeyError\n"
    )
    sweep = f"hydra.sweep.dir={tmp_path}"
    code, _, errors = command(main, "-m", "seed=0,1,2,3", LOCAL, sweep)
    assert code == 1
    assert "job 0 failed: too small" in errors
    assert "job 1 was killed by SIGKILL: " in errors
    assert f"job 2 failed: {tmp_path}" in errors
    assert "job 3 finished: " in errors
    assert errors.splitlines()[-1] == "error: 3 of 4 jobs did not succeed; the others did"


def test_jobs_end_with_their_sweep(machine, jobs_run, command, tmp_path):
    """SIGTERM to the sweep ends the job that runs, and the one that waits never starts."""
    machine(gpus=0, cores=2)
    jobs_run(
        "import os, signal, time\n"
        "def end(*_):\n    print('ended', flush=True)\n    os._exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    start, before = time.monotonic(), signal.getsignal(signal.SIGTERM)
    settings = (LOCAL, "hydra.launcher.cores_per_job=2", f"hydra.sweep.dir={tmp_path}")
    code, _, _ = command(main, "-m", "seed=0,1", *settings)
    assert code == 143
    assert time.monotonic() - start < 50
    assert [path.read_text() for path in tmp_path.glob("*/console.log")] == ["ended\n"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_jobs_end_with_a_sweep_that_is_killed(machine, jobs_run, tmp_path):
    """SIGKILL to the sweep: a job saves as at SIGTERM; it is watched before it imports anything."""
    machine(gpus=0, cores=4)
    (tmp_path / "slow_command.py").write_text(
        "import os, signal, sys, threading, time\n"
        "def end(*_):\n    print('saved', flush=True)\n    os._exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "if sys.argv[1] == '1':\n"
        "    from stm_experiments.app.orphans import end_with_sweep\n"
        "    end_with_sweep()\n"
        "print(__name__, threading.active_count(), flush=True)\n"
        "time.sleep(60)\n"
    )
    jobs_run(
        f"import runpy, sys\nsys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}]\n"
        "sys.argv[1:] = ['slow_command', sys.argv[1]]\n"
        "runpy.run_module('stm_experiments.app.orphans', run_name='__main__')\n"
    )
    sweep = tmp_path / "sweep"
    settings = (LOCAL, "hydra.launcher.cores_per_job=2", f"hydra.sweep.dir={sweep}")
    parent = start(["-m", "seed=0,1", *settings], tmp_path / "output", int)

    def printed():
        return [path.read_text().split() for path in sorted(sweep.glob("*/console.log"))]

    wait_until(lambda: printed() == [["__main__", "2"]] * 2)
    os.kill(parent, signal.SIGKILL)
    assert wait(parent) == -signal.SIGKILL
    wait_until(lambda: printed() == [["__main__", "2", "saved"]] * 2)


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_local_job_is_the_run_that_it_would_be_by_itself(
    command, tiny, train_in, tmp_path, no_figures, machine
):
    """One trains and one fails; the folder's name has what Hydra's grammar gives a meaning."""
    threads = torch.get_num_threads()
    machine(gpus=0, cores=threads)
    local = (LOCAL, f"hydra.launcher.cores_per_job={threads}")
    sweep, alone = tmp_path / "Si(111) 7x7, a=b", tmp_path / "alone"
    code, out, errors = command(
        main, "-m", *tiny, "trainer.max_epochs=1,0", *local, f"hydra.sweep.dir='{sweep}'"
    )
    assert code == 1
    good, bad = sorted(path for path in sweep.iterdir() if path.is_dir())
    assert "job 1 failed: trainer.max_epochs is a whole number of at least 1" in errors
    assert json.loads((bad / "run.json").read_text())["status"].startswith("failed: trainer.max")
    train_in(alone, "trainer.max_epochs=1")
    for name in ("metrics.json", "metrics.csv", "config.yaml"):
        assert (good / name).read_bytes() == (alone / name).read_bytes()
    about = json.loads((good / "run.json").read_text())
    assert (about["job"], about["sweep"], about["status"]) == (0, sweep.name, "finished")
    others = {override for override in tiny if "max_epochs" not in override}
    assert set(about["overrides"]) == {*others, "trainer.max_epochs=1"}
    score = json.loads((good / "metrics.json").read_text())["test/mse_noisy"]
    assert f"{score:.5f}" in out[out.index("Comparison of the jobs") :]
    assert "config, metrics, checkpoints and figures" in (good / "console.log").read_text()


@pytest.mark.parametrize(
    ("launcher", "experiments", "jobs"),
    [
        ("basic", "glob(paper_*)", 7),
        ("local_gpus", "paper_baseline,paper_lower_lr", 2),
        ("slurm", "paper_baseline,paper_lower_lr", 2),
    ],
)
def test_a_dry_run_shows_the_jobs_and_starts_none(command, tmp_path, launcher, experiments, jobs):
    sweep = tmp_path / "paper"
    code, out, errors = command(
        main, "-m", "--dry-run", f"experiment={experiments}", "lattice=sc",
        f"hydra/launcher={launcher}", f"hydra.sweep.dir={sweep}",
    )  # fmt: skip
    assert code == 0, errors
    lines = out.splitlines()
    assert lines[:2] == [
        "job 0: experiment=paper_baseline lattice=sc",
        f"    {sweep}/0_experiment-paper_baseline_lattice-sc",
    ]
    assert len(lines) == len(set(lines)) == 2 * jobs
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_of_a_sweep(command):
    code, _, errors = command(main, "--dry-run")
    assert (code, errors) == (1, "error: --dry-run shows the jobs of a sweep: add -m\n")


def test_slurm_without_its_extra_or_its_commands_says_so(command, monkeypatch, tmp_path):
    sweep = ("-m", "seed=0,1", "hydra/launcher=slurm", f"hydra.sweep.dir={tmp_path}")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, errors = command(main, *sweep)
    assert code == 1
    assert "slurm" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    monkeypatch.setitem(sys.modules, "submitit", None)
    code, _, errors = command(main, *sweep)
    assert (code, errors.splitlines()[-1]) == (
        1, "error: hydra/launcher=slurm needs: pip install 'stm_experiments[slurm]'",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("warning", "state", "requeued"),
    [("SIGUSR2", "RUNNING", 1), ("SIGTERM", "RUNNING", 1), ("SIGTERM", "COMPLETING", 0)],
    ids=["time limit", "preempted", "cancelled"],
)
def test_a_warned_job_saves_its_step_before_it_is_requeued(
    train_in, tmp_path, no_figures, monkeypatch, warning, state, requeued
):
    """A signal in the middle of a step, as SLURM and submitit get it, and the run begun again."""
    warned, whole = tmp_path / "warned", tmp_path / "whole"
    train_in(whole)
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\necho {state}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    calls, steps, step = [], [], Reconstruction.training_step

    def requeue(number, *_):
        calls.append(number)
        sys.exit(-1)

    def warned_step(*arguments):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.Signals[warning])
        return step(*arguments)

    monkeypatch.setattr(Reconstruction, "training_step", warned_step)
    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(KeyboardInterrupt, match="interrupted; resume with"):
            train_in(warned)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert calls == [signal.Signals[warning]] * requeued
    last = torch.load(warned / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == len(steps) == 5
    assert json.loads((warned / "run.json").read_text())["status"] == "interrupted"
    train_in(warned)
    assert len(steps) == 6
    for name in ("metrics.csv", "metrics.json"):
        assert (warned / name).read_bytes() == (whole / name).read_bytes()


def test_a_warning_while_a_job_is_scored_acts_at_once(train_in, tmp_path, no_figures, monkeypatch):
    from stm_experiments.evaluation import assess

    def warn(*_):
        os.kill(os.getpid(), signal.SIGUSR2)

    def requeue(*_):
        sys.exit(-1)

    monkeypatch.setattr(assess, "save_figure", warn)
    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(KeyboardInterrupt, match="interrupted; resume with"):
            train_in(tmp_path)
    finally:
        signal.signal(signal.SIGUSR2, before)
