"""Several processes that share each batch: the same samples, weights and metrics as one process.

The processes of most runs are copies of this one, so that nothing is imported again.
"""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

# Batches of 21, 21, 21 and 1 patches: the last one leaves the second process with none.
RUN = (
    "data.size=64", "data.images_per_epoch=4", "data.validation_images=2", "data.test_images=2",
    "data.patches_per_image=16", "data.batch_size=21", "data.num_workers=0", "baselines=[]",
    "trainer.max_epochs=5", "trainer.accelerator=cpu",
)  # fmt: skip
TWO = ("trainer=ddp", "trainer.devices=2")
# The bias before CAE-B's batch normalisation has no effect and no gradient but rounding errors,
# which Adam would blow up to the size of its steps: in one process as in two.
B = ("model=cae_b", "model.optimizer._target_=torch.optim.SGD", "model.optimizer.lr=0.05")
RUNS = {
    "a1": (),
    "a2": TWO,
    "b1": B,
    "b2": (*TWO, *B),
    "killed": (*TWO, "checkpoint_minutes=0"),
    "diverged": (*TWO, "model.optimizer.lr=1e30", "model.scheduler=null"),
}


def be(rank, ranks, port):
    """What a cluster tells each process of a run."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    from stm_experiments.benchmarks.kills import processes as kills

    kills.without_figures()
    torch.set_num_threads(1)
    if ranks > 1:
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        rank_zero_only.rank = rank


def start(folder, arguments, ranks):
    from stm_experiments.benchmarks.kills import processes as kills

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return [
        kills.start(arguments, folder / f"{rank}.txt", partial(be, rank, ranks, port))
        for rank in range(ranks)
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs."""
    from stm_experiments.benchmarks.kills import processes as kills

    root = tmp_path_factory.mktemp("ddp")
    for name, overrides in RUNS.items():
        folder, ranks = root / name, 2 if TWO[0] in overrides else 1
        folder.mkdir()
        arguments = [*RUN, *overrides, f"hydra.run.dir={folder}/run"]
        processes = start(folder, arguments, ranks)
        if name == "killed":
            last, deadline = folder / "run/checkpoints/previous.ckpt", time.monotonic() + 60
            while not last.exists() and time.monotonic() < deadline:
                time.sleep(0.005)
            for process in processes:
                os.kill(process, signal.SIGKILL)
                kills.wait(process)
            assert not (folder / "run/metrics.json").exists()
            processes = start(folder, [f"resume={folder}/run"], ranks)
        codes = {kills.wait(process) for process in processes}
        said = [path.read_text() for path in folder.glob("*.txt")]
        assert codes == {1 if name == "diverged" else 0}, (name, codes, said)
    return root


def rows(run):
    with (run / "run" / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def weights(run):
    content = torch.load(run / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert content["global_step"] == 20
    return content["state_dict"]


@pytest.mark.parametrize("net", ["a", "b"])
def test_twenty_steps_of_two_processes_are_those_of_one(runs, net):
    one, two = weights(runs / f"{net}1"), weights(runs / f"{net}2")
    assert one.keys() == two.keys()
    for key, weight in one.items():
        torch.testing.assert_close(two[key], weight, atol=1e-5, rtol=0)
    for ours, theirs in zip(rows(runs / f"{net}2"), rows(runs / f"{net}1"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("net", ["a", "b"])
def test_metrics_count_every_patch_once(runs, net, compose_config):
    import stm_experiments
    from stm_experiments.app import build
    from stm_experiments.app.settings import resolve

    folder = runs / f"{net}2" / "run"
    model = stm_experiments.load(folder / "checkpoints" / "last.ckpt")
    settings = resolve(compose_config(*RUN, *RUNS[f"{net}2"]))
    batches = list(build.build_data(settings, model.window).loader("validation"))
    with torch.inference_mode():
        errors = [(model(b.noisy) - b.noisy).square().mean((1, 2, 3)).double() for b in batches]
    assert rows(runs / f"{net}2")[-1]["val/loss"] == pytest.approx(
        float(torch.cat(errors).mean()), rel=1e-6
    )
    done = json.loads((folder / "run.json").read_text())
    assert done["patches_per_second"] * done["train_seconds"] == pytest.approx(5 * 64)


def test_only_the_first_process_writes_and_scores(runs):
    one, two = (
        {path.relative_to(runs / name) for path in (runs / name / "run").rglob("*")}
        for name in ("a1", "a2")
    )
    assert one == two
    assert "config, metrics, checkpoints and figures" in (runs / "a2" / "0.txt").read_text()
    assert "config, metrics" not in (runs / "a2" / "1.txt").read_text()


def test_killed_processes_go_on_together(runs):
    from stm_experiments.benchmarks.kills.comparison import differences

    assert differences(runs / "a2" / "run", runs / "killed" / "run") == []


def test_all_processes_stop_when_training_diverges(runs):
    for rank in (0, 1):
        assert "error: training diverged" in (runs / "diverged" / f"{rank}.txt").read_text()
    assert not (runs / "diverged" / "run" / "checkpoints" / "last.ckpt").exists()


def test_lightning_starts_the_processes_and_ends_and_resumes_them_together(runs, tmp_path):
    """SIGTERM to the command ends all its processes, with their step saved."""
    from stm_experiments.benchmarks.kills.comparison import differences

    folder = tmp_path / "Si(111), a=b"
    command = [sys.executable, "-m", "stm_experiments.train"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    first = [*command, *RUN, *TWO, "checkpoint_minutes=0", f"hydra.run.dir='{folder}'"]
    run = subprocess.Popen(first, **pipes, env=environment)
    while not (folder / "checkpoints/previous.ckpt").exists() and run.poll() is None:
        time.sleep(0.005)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    run.terminate()
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 130, errors
    assert f"interrupted; resume with: python train.py resume={folder}" in errors
    assert children
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)

    again = [*command, f"resume={folder}"]
    done = subprocess.run(again, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert not list(folder.glob("*process*"))
    assert done.stdout.count("config, metrics, checkpoints and figures") == 1
    assert differences(runs / "a2" / "run", folder) == []


def test_without_cuda_the_cpu_is_used_even_beside_apples_gpu(compose_config, tmp_path, monkeypatch):
    from lightning.pytorch.accelerators import MPSAccelerator

    from stm_experiments.app import fit
    from stm_experiments.app.settings import resolve

    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = resolve(compose_config())
    assert config["trainer"]["accelerator"] == "auto"
    trainer = fit.build_trainer(config, tmp_path, [], [])
    assert trainer.strategy.root_device.type == "cpu"


def test_a_sweep_in_one_process_is_refused_with_the_way_out(command, tmp_path):
    from stm_experiments.train import main

    sweep = ("hydra/launcher=basic", f"hydra.sweep.dir={tmp_path}/s")
    code, _, errors = command(main, "-m", "seed=0,1", *RUN, *TWO, *sweep)
    assert code == 1
    for number in (0, 1):
        assert f"error: job {number}: a sweep cannot train its jobs on trainer.devices=2" in errors
    assert "hydra/launcher=local_gpus" in errors


def test_processes_without_a_common_folder_are_refused(command, tmp_path, monkeypatch):
    from stm_experiments.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")
    code, _, errors = command(main, *RUN, *TWO)
    assert code == 1
    assert "2 processes need one folder: add hydra.run.dir=" in errors
