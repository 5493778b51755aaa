"""What a report of a fault needs to say."""

import importlib.metadata
import sys

import torch

from stm_experiments.about import main
from stm_experiments.io.formats import FORMATS
from stm_experiments.recipes import about


def test_versions_devices_formats_and_models_are_named(command):
    code, out, errors = command(main)
    assert (code, errors) == (0, "")
    lines = {line[:12].strip(): line[12:] for line in out.splitlines()}
    assert lines["package"] == f"stm_experiments {importlib.metadata.version('stm_experiments')}"
    assert f"torch {torch.__version__}" in lines["libraries"]
    assert lines["formats"].split() == list(FORMATS)
    assert "surface_denoiser" in lines["models"].split()
    assert "[dev]" not in lines


def test_a_report_is_made_without_torch_too(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    lines = about.about().splitlines()
    assert any(line.startswith("torch       cannot be imported: ") for line in lines)
    assert any(line.startswith("formats ") for line in lines)


def test_what_an_extra_lacks_is_named(monkeypatch):
    monkeypatch.setattr(about.importlib.metadata, "requires", lambda _: ["torch>=2", REQUIRED])
    assert about.requirements() == {"": ["torch"], "scans": ["no-such-library"]}
    assert "[scans]     no-such-library is not installed" in about.about()


REQUIRED = "no-such-library>=1.0; extra == 'scans'"
