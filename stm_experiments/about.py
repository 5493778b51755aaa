"""The command ``stm-about``: versions, devices, readers and models, for a report of a fault."""

import argparse


def main() -> None:
    """Run the command ``stm-about``."""
    description = "Print versions, devices, formats and models, for the report of a fault."
    argparse.ArgumentParser(prog="stm-about", description=description).parse_args()
    from stm_experiments.recipes.about import about

    print(about())


if __name__ == "__main__":
    main()
