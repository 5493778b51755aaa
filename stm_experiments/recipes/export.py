"""The command that writes a trained network for other programs."""

from pathlib import Path

from omegaconf import DictConfig

from stm_experiments.app.job import new_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.texts import did_you_mean, printable
from stm_experiments.models import checkpoint
from stm_experiments.models.exports import BOUND, FORMATS, export
from stm_experiments.models.exports.bioimage import write_package

PACKAGE = "bioimageio"  # format of a package for the BioImage Model Zoo


def write_export(cfg: DictConfig) -> None:
    """Run ``conf/export.yaml``.

    Raises:
        ValueError: If the format does not exist, or the network cannot be exported.
        RuntimeError: If a library is not installed.
    """
    settings = resolve(cfg)
    name, source = settings["format"], settings["checkpoint"]
    known = [*FORMATS, PACKAGE]
    if name not in known:
        near = did_you_mean(str(name), known)
        raise ValueError(f"format is one of {', '.join(known)}, not {name!r}{near}")
    net = checkpoint.load(source)
    folder = new_folder()
    stem = folder / Path(source).stem
    if name == PACKAGE:
        path = write_package(net, source, stem)
        print(printable(f"{folder}: {path.name}, which bioimageio.core has validated"))
        return
    for path, difference in export(net, source, name, stem):
        print(
            printable(
                f"{path}: differs from PyTorch by at most {difference:.1e} (bound {BOUND:.0e})"
            )
        )
