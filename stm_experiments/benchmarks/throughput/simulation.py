"""Topographs per second of every lattice and preset, on one core."""

from functools import partial

import torch
from rich.table import Table

from stm_experiments.benchmarks.throughput.loops import SIZE, call_rate, simulate_batch
from stm_experiments.simulator import (
    CUT_LATTICES,
    LATTICES,
    PRESETS,
    AnyLattice,
    render_topographs,
)

SIMULATED_BATCH = 32  # images


def simulation_table(seconds: float) -> Table:
    """Measure topographs per second on one core: clean ones per preset, noisy ones, noise alone.

    Args:
        seconds: Time for each measurement.
    """
    torch.set_num_threads(1)
    size = f"{SIZE}x{SIZE} px"
    table = Table(title=f"{size} topographs per second on one core, batches of {SIMULATED_BATCH}")
    for column in ("lattice", *PRESETS, "physical with noise=paper", "noise alone, ms"):
        table.add_column(column, justify="right")
    for lattice in LATTICES.values():
        table.add_row(lattice.name, *_simulation_cells(lattice, seconds))
    return table


def _simulation_cells(lattice: AnyLattice, seconds: float) -> list[str]:
    """Measure one lattice."""
    orientation = torch.rand(SIMULATED_BATCH, 3, generator=torch.Generator().manual_seed(0))
    cells = []
    for preset in PRESETS:
        if preset == "physical" or lattice.name in CUT_LATTICES:
            work = partial(render_topographs, lattice, orientation, preset)
            cells.append(f"{SIMULATED_BATCH * call_rate(work, seconds):.0f}")
        else:
            cells.append("")
    clean, noisy = (
        SIMULATED_BATCH
        * call_rate(partial(simulate_batch, lattice, SIMULATED_BATCH, noise), seconds)
        for noise in ("none", "paper")
    )
    noise_ms = 1000 * (1 / noisy - 1 / clean)
    return [*cells, f"{noisy:.0f}", f"{noise_ms:.2f}"]
