"""The benchmark of denoising whole images.

    python -m stm_experiments.benchmarks.quality frozen --split development
    python -m stm_experiments.benchmarks.quality trained --models outputs/.../checkpoints/best.ckpt

``frozen``: a collection of surfaces and noises that no training sees; the goals of a denoiser that
never makes a scan worse. ``trained``: the simulator's lattices, the published pairs, atoms and
vacancies. Nothing is trained here. Everything is printed, and written as CSV and pictures to a new
folder. Omitted parts are listed with the reason.
"""

import argparse
from functools import partial

from stm_experiments.benchmarks.command import run_benchmark
from stm_experiments.benchmarks.quality import frozen, trained

PARTS = {"frozen": frozen, "trained": trained}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="part", required=True)
    for name, part in PARTS.items():
        command = commands.add_parser(name, help=(part.__doc__ or "").splitlines()[0])
        part.add_arguments(command)
        command.add_argument("--out", help="folder to be made; default: outputs/quality_<time>")
    options = parser.parse_args()
    work = partial(PARTS[options.part].run, options)
    run_benchmark("quality", options.out, work, width=200)


if __name__ == "__main__":
    main()
