"""A real SLURM: one node on loopback with made-up processors, for ``make test-slurm``."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.skipif(
    "STM_TEST_SLURM" not in os.environ, reason="takes a minute and starts daemons: make test-slurm"
)

PATIENCE = 1500  # s; an idle machine needs a minute, one that trains beside much more

# What is not SLURM's default. The node's name is the host's, or Lightning cannot find its ranks;
# cred_expire is how long a requeued job waits; no cgroups and no accounting, so that it runs in a
# container; sizes are made up. Jobs in "urgent" take the processors of those in "main", which are
# told so with SIGTERM and have some time to end.
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/run/munge,cred_expire=5
SlurmctldPort={port}
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmdSpoolDir={root}/spool
StateSaveLocation={root}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
MinJobAge=86400
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=8 RealMemory=20000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES PriorityTier=1 GraceTime=300 MaxTime=INFINITE State=UP
PartitionName=urgent Nodes={host} PriorityTier=2 PreemptMode=OFF MaxTime=INFINITE State=UP
"""

# submitit asks sacct how a job ended, and sacct needs a database, which real clusters have.
SACCT = """\
#!{python}
import re, subprocess
print("JobID|State|NodeList")
shown = subprocess.run(["scontrol", "-o", "show", "job"], capture_output=True, text=True).stdout
for line in shown.splitlines():
    job = dict(re.findall(r"(\\w+)=(\\S*)", line))
    array = job.get("ArrayJobId")
    number = f"{{array}}_{{job['ArrayTaskId']}}" if array else job["JobId"]
    print(f"{{number}}|{{job['JobState']}}|{{job['NodeList']}}")
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"after {seconds} s: {what()}"
        time.sleep(0.1)
    return found


@contextmanager
def daemon(*command, log, **options):
    """A process in the foreground, which is ended by its own number."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster():
    """The environment of commands that talk to the cluster."""
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed and could not be: slurm-wlm and munge")
    if os.geteuid() != 0:
        pytest.skip("the daemons need root")
    # Not a folder of pytest's: munge's socket must be open to all, all the way down to it.
    with tempfile.TemporaryDirectory(prefix="slurm") as folder:
        yield from run_cluster(Path(folder))


def run_cluster(root):
    """The three daemons, until the tests are over."""
    root.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    for name in ("run", "munge", "spool", "state", "bin"):
        (root / name).mkdir(mode=0o700 if name == "munge" else 0o755)
    key = root / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    ports = {"port": free_port(), "node_port": free_port()}
    conf = root / "slurm.conf"
    conf.write_text(CONF.format(root=root, host=host, **ports))
    sacct = root / "bin" / "sacct"
    sacct.write_text(SACCT.format(python=sys.executable))
    sacct.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SUBMITIT_"))}
    path = f"{sacct.parent}:{clean['PATH']}"
    environment = {**clean, "SLURM_CONF": str(conf), "PATH": path, "OMP_NUM_THREADS": "1"}

    def ask(*command):
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def logs():
        return "\n".join(path.read_text()[-2000:] for path in root.glob("*.log"))

    with ExitStack() as daemons:
        for name, *options in (
            ("munged", "--foreground", f"--key-file={key}", f"--seed-file={root}/munge/seed",
             f"--pid-file={root}/munge/pid", f"--log-file={root}/munge/log",
             f"--socket={root}/run/munge"),
            ("slurmctld", "-D", "-f", str(conf)),
            ("slurmd", "-D", "-N", host, "-f", str(conf)),
        ):  # fmt: skip
            daemons.enter_context(daemon(name, *options, log=root / f"{name}.log", env=environment))
            if name == "munged":
                wait_for((root / "run" / "munge").exists, 10, logs)
        wait_for(lambda: ask("sinfo", "-h", "-o", "%T").stdout.strip() == "idle", 30, logs)
        try:
            yield environment, ask
        finally:
            ask("scancel", "--user=root")
            with suppress(AssertionError):
                wait_for(lambda: not ask("squeue", "-h").stdout.strip(), 40, logs)


@pytest.fixture
def sweep(cluster, tiny, tmp_path):
    """Return a function: start a sweep on the cluster; its process and its folder."""
    environment, _ = cluster
    with ExitStack() as processes:

        def start(*overrides):
            command = [
                *(sys.executable, "-m", "stm_experiments.train", "-m", *tiny, *overrides),
                *("hydra/launcher=slurm", "hydra.launcher.gpus_per_node=null"),
                *("hydra.launcher.mem_gb=1", "hydra.launcher.cpus_per_task=1"),
                f"hydra.sweep.dir={tmp_path / 'sweep'}",
            ]
            process = daemon(*command, log=tmp_path / "output", env=environment, cwd=tmp_path)
            return processes.enter_context(process), tmp_path / "sweep"

        yield start


def read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def rows(folder):
    path = folder / "metrics.csv"
    return path.read_text().count("\n") - 1 if path.exists() else 0


def one(sweep, number):
    """The run folder of a job."""
    return next((folder for folder in sweep.glob(f"{number}_*")), sweep / "absent")


def state_dict(run, name):
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def assert_same_results(one, other):
    for name in ("metrics.csv", "metrics.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    for name in ("best", "last"):
        ours, theirs = state_dict(one, name), state_dict(other, name)
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_jobs_of_a_sweep_fail_are_killed_or_requeued_alone(
    cluster, sweep, train_in, tmp_path, no_figures
):
    """Of four jobs one fails, one reaches its time limit and is cancelled later, one is warned."""
    _, ask = cluster
    settings = ("checkpoint_minutes=60", "data.test_images=1")
    process, folder = sweep(
        *settings, "trainer.max_epochs=1,0,100000,200", "hydra.launcher.signal_delay_s=7200"
    )

    def output():
        logs = folder.glob(".submitit/*/*.err")
        return "".join(p.read_text()[-3000:] for p in [tmp_path / "output", *logs])

    def tell(*words):
        told = ask(*words)
        assert told.returncode == 0, told.stderr

    def restarted(job):
        return " Restarts=1 " in ask("scontrol", "-o", "show", "job", job).stdout

    wait_for(lambda: rows(one(folder, 3)) > 2, PATIENCE, output)
    array = next(folder.glob(".submitit/*_3")).name.partition("_")[0]
    before = {name: (one(folder, 3) / name).read_bytes() for name in ("config.yaml",)}
    tell("scancel", "--signal=USR2", f"{array}_3")

    # Near its time limit SLURM itself warns the job, which saves, requeues itself and goes on.
    limited = f"{array}_2"
    wait_for(lambda: rows(one(folder, 2)) > 0, PATIENCE, output)
    endless = one(folder, 2)
    tell("scontrol", "update", f"JobId={limited}", "TimeLimit=60")
    wait_for(lambda: restarted(limited), PATIENCE, output)
    tell("scontrol", "update", f"JobId={limited}", "TimeLimit=240")
    done = rows(endless)
    wait_for(lambda: rows(endless) > done, PATIENCE, output)
    tell("scancel", limited)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    assert process.returncode == 1, output()

    said = (tmp_path / "output").read_text()
    status = [read(one(folder, number) / "run.json")["status"] for number in range(4)]
    assert [status[0], status[3]] == ["finished", "finished"], output()
    assert status[1].startswith("failed: trainer.max_epochs")
    assert status[2] == "interrupted"
    assert f"1 of 4 jobs were killed or could not begin (SLURM's numbers {limited})" in said
    table = said[said.index("Comparison of the jobs") :]
    for number in (0, 3):
        assert f"{read(one(folder, number) / 'metrics.json')['test/mse_noisy']:.5f}" in table
    assert "job 1 failed: trainer.max_epochs" in table

    # The requeued job went on from the step at which it was warned, to the undisturbed weights.
    requeued, whole = one(folder, 3), tmp_path / "whole"
    assert restarted(f"{array}_3")
    assert len(list(folder.glob("3_*"))) == 1
    assert (requeued / "config.yaml").read_bytes() == before["config.yaml"]
    train_in(whole, *settings, "trainer.max_epochs=200")
    assert_same_results(requeued, whole)


def test_two_tasks_train_together_and_such_a_job_is_preempted(cluster, sweep, tmp_path):
    """Two jobs that should end alike, one after the other; an urgent job interrupts the second."""
    _, ask = cluster
    process, folder = sweep(
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=60"),
        *("checkpoint_minutes=60,61", "data.test_images=1"),
        *("hydra.launcher.tasks_per_node=2", "hydra.launcher.array_parallelism=1"),
    )

    def output():
        logs = [tmp_path / "output", *folder.glob(".submitit/*/*.err")]
        return "".join(path.read_text()[-3000:] for path in logs)

    wait_for(lambda: rows(one(folder, 1)) > 2, PATIENCE, output)
    urgent = ask("sbatch", "--partition=urgent", "--ntasks=8", "--output=/dev/null", "--wrap=true")
    assert urgent.returncode == 0, urgent.stderr
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    assert process.returncode == 0, output()
    array = next(folder.glob(".submitit/*_0")).name.partition("_")[0]
    jobs = [ask("scontrol", "-o", "show", "job", f"{array}_{n}").stdout for n in range(2)]
    assert [job.partition(" Restarts=")[2][0] for job in jobs] == ["0", "1"]
    assert "error" not in (folder / f".submitit/{array}_1/{array}_1_1_log.err").read_text()
    runs = [run for run in folder.iterdir() if run.name[0].isdigit()]
    assert len(runs) == 2
    for run in runs:
        assert read(run / "run.json")["status"] == "finished"
        assert rows(run) == 60
    assert_same_results(*runs)
