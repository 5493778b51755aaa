"""What codes of single patches know of the lattice type.

    python -m stm_experiments.benchmarks.context descriptions
    python -m stm_experiments.benchmarks.context table [--alike] [--images FOLDER]
    python -m stm_experiments.benchmarks.context noise
    python -m stm_experiments.benchmarks.context unseen

- descriptions: how well the description of a whole image tells its lattice, before any training.
- table: context_code beside other networks, several seeds; its runs are kept and not made again.
- noise: the probe of one noise on the codes of patches with another noise.
- unseen: networks trained without one lattice and tested on all, then fine-tuned to it.
"""

import argparse
from pathlib import Path

from stm_experiments.benchmarks.context.descriptions import print_descriptions
from stm_experiments.benchmarks.context.noises import print_noises
from stm_experiments.benchmarks.context.seeds import Study, print_seeds
from stm_experiments.benchmarks.context.unseen import print_unseen


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("descriptions", "table", "noise", "unseen"))
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each network")
    parser.add_argument("--folder", type=Path, default=Path("outputs/context"), help="of the runs")
    parser.add_argument("--alike", action="store_true", help="all lattices at 9 to 19 px")
    parser.add_argument("--images", type=Path, help="folder of images instead of simulated ones")
    parser.add_argument(
        "--set",
        nargs="*",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="more settings of each training, such as scale=0.1",
    )
    options = parser.parse_args()
    study = Study(options.folder, options.alike, options.images, tuple(options.overrides))
    if options.what == "descriptions":
        print_descriptions()
    elif options.what == "table":
        print_seeds(study, options.seeds)
    elif options.what == "noise":
        print_noises(study, options.seeds)
    else:
        print_unseen(study)


if __name__ == "__main__":
    main()
