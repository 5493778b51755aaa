"""Command lines without a config: files and flags alone."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn


class PlainParser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence and exit code 1, like those of other commands.

    Args:
        name: Of the command.
        description: What it does.
        examples: Command lines.
    """

    def __init__(self, name: str, description: str, examples: Sequence[str]) -> None:
        super().__init__(
            prog=name,
            description=description,
            epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Say in one sentence what cannot be read, and end."""
        print(f"error: {self.prog}: {message}; --help shows what it takes", file=sys.stderr)
        sys.exit(1)
