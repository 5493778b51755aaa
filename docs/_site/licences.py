"""Writes docs/licences.md: the licence of every package of constraints.txt, from its metadata.

    python docs/_site/licences.py

A package that is not installed here keeps its line of before.
"""

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences

The package itself is under the [MIT licence](https://opensource.org/license/mit). It installs what
`pyproject.toml` asks for, and copies none of it. Below are all packages at the versions of
`constraints.txt`, those of all extras and of the developers' tools, with the licence that each one
states: `python docs/_site/licences.py` writes this page.

Who passes on a program that holds some of them should know: PyQt6 of the extra `viewer` is under
the GPL 3, its Qt libraries and igor2 of the extra `scans` are under the LGPL 3. codespell (GPL 2)
is a tool of the developers alone.

| package | version | licence |
|---|---|---|
"""
LONGEST = 60  # characters of a licence's name; longer texts are the licence itself


def main() -> None:
    """Write the page.

    Raises:
        SystemExit: If there is a package of which nothing is known.
    """
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    before = known_licences()
    rows, unknown = [], []
    for name, version in pins.items():
        licence = licence_of(name) or before.get(name, "")
        rows.append(f"| {name} | {version} | {licence} |\n")
        unknown += [] if licence else [name]
    PAGE.write_text(HEAD + "".join(rows), encoding="utf-8")
    if unknown:
        raise SystemExit(f"no licence is known of {', '.join(unknown)}: install them and try again")


def known_licences() -> dict[str, str]:
    """Return the licences on the page as it is, by package."""
    if not PAGE.exists():
        return {}
    return dict(re.findall(r"(?m)^\| (\S+) \| \S+ \| (.*) \|$", PAGE.read_text(encoding="utf-8")))


def licence_of(name: str) -> str:
    """Return what a package says of its licence, or the first line of its licence's file.

    It is empty if the package is not installed or says nothing.
    """
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    stated = " ".join((about.get("License") or "").split())
    short = stated if stated != "UNKNOWN" and len(stated) <= LONGEST else ""
    return about.get("License-Expression") or ", ".join(classifiers) or short or title_of(name)


def title_of(name: str) -> str:
    """Return the first line of the licence's file of an installed package; empty without one."""
    for file in metadata.files(name) or []:
        if file.name.startswith("LICEN"):
            return file.read_text().strip().splitlines()[0].strip()
    return ""


if __name__ == "__main__":
    main()
