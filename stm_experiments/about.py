"""The command ``stm-about``: versions, devices, readers and models, for a report of a fault."""

from stm_experiments.app.command_line.plain import PlainParser

EXAMPLES = (
    "stm-about",
    "stm-about > about.txt",
    "python -m stm_experiments.about",
)


def main() -> None:
    """Run the command ``stm-about``."""
    description = "Print versions, devices, formats and models, for the report of a fault."
    PlainParser("stm-about", description, EXAMPLES).parse_args()
    from stm_experiments.recipes.about import about

    print(about())


if __name__ == "__main__":
    main()
