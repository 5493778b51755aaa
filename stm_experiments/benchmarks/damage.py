"""Damage the checkpoints of a run in many ways, and check that nothing passes unnoticed.

    python -m stm_experiments.benchmarks.damage

Each damage, zeros in place of a block or one flipped bit, is done to ``last.ckpt`` and to
``best.ckpt`` of a tiny run. The run then chooses the checkpoint to resume from and the weights to
score, and ``best.ckpt`` is used as ``checkpoint=`` and as ``init=`` of another run. Some of the
runs are also resumed to their end, in a copy of this process, and compared with the undisturbed
run: weights, optimiser, learning rates, metrics.csv and metrics.json, bit for bit.
"""

import argparse
import contextlib
import io
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from stm_experiments.benchmarks.kills.comparison import are_equal, differences
from stm_experiments.benchmarks.kills.kinds import ALL_SIMULATED
from stm_experiments.benchmarks.kills.processes import start, wait, without_figures
from stm_experiments.core.config_files import read_yaml
from stm_experiments.models import CAEA, checkpoint
from stm_experiments.models.interfaces import Network
from stm_experiments.training.run_folder import RunFolder, newest_checkpoint

BLOCK = 4096  # bytes, as a disk loses them
RESUME, SCORE, LOAD, INIT, FINISH = USES = (
    "last.ckpt: resume=",
    "best.ckpt: scores",
    "best.ckpt: checkpoint=",
    "best.ckpt: init=",
    "last.ckpt: resumed to the end",
)
OUTCOMES = (
    "harmless, identical",
    "another checkpoint in its place, as printed",
    "refused with the file's name",
    "without the file's name",
    "silently different",
)
UNCHANGED, REPLACED, REFUSED, UNNAMED, DIFFERENT = OUTCOMES

Damage = Callable[[bytearray], None]


def zero_block(place: float, content: bytearray) -> None:
    """Put zeros in place of one block; ``place`` is its position from 0 to 1."""
    begin = int(place * len(content)) // BLOCK * BLOCK
    end = min(begin + BLOCK, len(content))
    content[begin:end] = bytes(end - begin)


def flip_bit(place: float, content: bytearray) -> None:
    """Flip one bit; ``place`` is its position from 0 to 1."""
    byte, bit = divmod(int(place * 8 * len(content)), 8)
    content[byte] ^= 1 << bit


def random_damages(blocks: int, bits: int, draw: random.Random) -> list[Damage]:
    """Return damages at random places, in random order."""
    damages: list[Damage] = [partial(zero_block, draw.random()) for _ in range(blocks)]
    damages += [partial(flip_bit, draw.random()) for _ in range(bits)]
    draw.shuffle(damages)
    return damages


def tiny_training() -> torch.nn.Module:
    """Return a training with the network of the tiny run."""
    training = torch.nn.Module()
    training.net = CAEA()
    return training


def resume_from(run: Path, good: dict[str, dict[str, Any]]) -> str:
    """Return the outcome of choosing the checkpoint to resume from.

    Args:
        run: With a damaged ``last.ckpt``.
        good: The undamaged contents of the checkpoints, by name.
    """
    folder = run / "checkpoints"
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        path = newest_checkpoint(folder, tiny_training())
    if path is None or not are_equal(checkpoint.read(path), good[path.name]):
        return DIFFERENT
    if path.name == "last.ckpt":
        return UNCHANGED
    return REPLACED if f"{folder}/last.ckpt: " in printed.getvalue() else UNNAMED


def score_best(run: Path, good: dict[str, dict[str, Any]]) -> str:
    """Return the outcome of choosing the weights of a run to score.

    Args:
        run: With a damaged ``best.ckpt``.
        good: As for ``resume_from``; if the best one is replaced, it is ``last.ckpt`` by which.
    """
    folder = RunFolder(run, read_yaml(run / "config.yaml"), {})
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        weights = folder.trained_weights(tiny_training(), "best.ckpt")
    replaced = "replaced" in folder.about
    source = "last.ckpt" if replaced else "best.ckpt"
    if not are_equal(weights, good[source]["state_dict"]):
        return DIFFERENT
    if not replaced:
        return UNCHANGED
    return REPLACED if f"{run}/checkpoints/best.ckpt: " in printed.getvalue() else UNNAMED


def load_damaged(path: Path, good: dict[str, Any], load: Callable[[Path], Network]) -> str:
    """Return the outcome of loading a network.

    Args:
        path: A damaged model file.
        good: Its undamaged weights.
        load: Returns the network in a file.
    """
    try:
        net = load(path)
    except checkpoint.CheckpointError as error:
        return REFUSED if str(error).startswith(f"{path}: ") else UNNAMED
    return UNCHANGED if are_equal(dict(net.state_dict()), good) else DIFFERENT


def start_from(path: Path) -> Network:
    """Return a network that starts from the weights of another."""
    net = CAEA()
    checkpoint.start_from(path, net)
    return net


def train_tiny(folder: Path) -> str:
    """Train a tiny run, or resume it, in a copy of this process; return what it prints.

    Raises:
        RuntimeError: If it fails.
    """
    begun = (folder / "config.yaml").is_file()
    new = [*ALL_SIMULATED, "model=cae_a", f"hydra.run.dir={folder}"]
    output = folder.with_suffix(".txt")
    code = wait(start([f"resume={folder}"] if begun else new, output, without_figures))
    text = output.read_text(encoding="utf-8", errors="replace")
    output.unlink()
    if code:
        raise RuntimeError(f"exit code {code}: {text[-500:]}")
    return text


def resume_to_the_end(whole: Path, run: Path) -> str:
    """Return the outcome of resuming a run whose ``last.ckpt`` is damaged.

    Args:
        whole: The undisturbed run.
        run: Its copy.
    """
    (run / "metrics.json").unlink()
    text = "".join(train_tiny(run).split())
    if differences(whole, run):
        return DIFFERENT
    if "tryingprevious.ckpt" not in text:
        return UNCHANGED
    return REPLACED if f"{run}/checkpoints/last.ckpt:" in text else UNNAMED


def damage_file(path: Path, damage: Damage) -> None:
    """Damage a file in its place."""
    content = bytearray(path.read_bytes())
    damage(content)
    path.write_bytes(content)


def count_outcomes(whole: Path, damages: list[Damage], resumed: int) -> Counter[tuple[str, str]]:
    """Damage copies of a run.

    Args:
        whole: The undisturbed run; the copies stand next to it.
        damages: The damages, one per copy.
        resumed: Number of copies that are also resumed to their end.

    Returns:
        Number of damages by use and outcome.
    """
    names = ("last.ckpt", "previous.ckpt", "best.ckpt")
    good = {name: checkpoint.read(whole / "checkpoints" / name) for name in names}
    best = dict(checkpoint.load(whole / "checkpoints" / "best.ckpt").state_dict())
    outcomes: Counter[tuple[str, str]] = Counter()
    for number, damage in enumerate(damages):
        run = whole.with_name(f"{whole.name}_{number}")
        shutil.copytree(whole, run)
        path = run / "checkpoints" / "best.ckpt"
        damage_file(path, damage)
        outcomes[LOAD, load_damaged(path, best, checkpoint.load)] += 1
        outcomes[INIT, load_damaged(path, best, start_from)] += 1
        outcomes[SCORE, score_best(run, good)] += 1
        shutil.copy(whole / "checkpoints" / "best.ckpt", path)
        damage_file(path.with_name("last.ckpt"), damage)
        outcomes[RESUME, resume_from(run, good)] += 1
        if number < resumed:
            outcomes[FINISH, resume_to_the_end(whole, run)] += 1
        shutil.rmtree(run)
    return outcomes


def main() -> None:
    """Damage, count and print; exit code 1 if anything passed unnoticed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--blocks", type=int, default=25, help="blocks of 4 KiB set to zero")
    parser.add_argument("--bits", type=int, default=200, help="bits flipped")
    parser.add_argument("--resumed", type=int, default=10, help="runs resumed to their end")
    parser.add_argument("--seed", type=int, default=0, help="seed of the places")
    options = parser.parse_args()
    damages = random_damages(options.blocks, options.bits, random.Random(options.seed))
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder).resolve() / "whole"
        train_tiny(whole)
        outcomes = count_outcomes(whole, damages, options.resumed)
    table = Table(
        title=f"{options.blocks} blocks of 4 KiB set to zero, {options.bits} bits flipped"
    )
    table.add_column("outcome")
    for use in USES:
        table.add_column(use, justify="right")
    for outcome in OUTCOMES:
        table.add_row(outcome, *(str(outcomes[use, outcome]) for use in USES))
    Console().print(table)
    if any(outcomes[use, outcome] for use in USES for outcome in (UNNAMED, DIFFERENT)):
        sys.exit(1)


if __name__ == "__main__":
    main()
