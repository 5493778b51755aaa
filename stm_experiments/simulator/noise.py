"""All noise of an image by where it arises, and the named noises of the folder conf/noise."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from stm_experiments.core.config_files import config_dir, read_yaml
from stm_experiments.simulator.microscope.detector import DetectorNoise
from stm_experiments.simulator.microscope.motion import MotionNoise
from stm_experiments.simulator.microscope.scan import ScanNoise
from stm_experiments.simulator.microscope.stripes import StripeNoise
from stm_experiments.simulator.microscope.tip import TipNoise
from stm_experiments.simulator.scene import Effect
from stm_experiments.simulator.surface.defects import Defects
from stm_experiments.simulator.surface.jitter import SampleNoise


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Strengths of all noise, in acquisition order.

    Attributes:
        sample: Variation from atom to atom.
        defects: Point defects and steps.
        motion: Motion of the sample during the scan.
        tip: Shape and changes of the tip.
        scan: What is added line by line.
        detector: What is added px by px.
        stripes: Lines that were lost or shifted.
    """

    sample: SampleNoise = field(default_factory=SampleNoise)
    defects: Defects = field(default_factory=Defects)
    motion: MotionNoise = field(default_factory=MotionNoise)
    tip: TipNoise = field(default_factory=TipNoise)
    scan: ScanNoise = field(default_factory=ScanNoise)
    detector: DetectorNoise = field(default_factory=DetectorNoise)
    stripes: StripeNoise = field(default_factory=StripeNoise)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What changes a trace of a scanned sample, in acquisition order."""
        return self.tip, self.scan, self.detector, self.stripes


def read_noise(path: Path) -> Noise:
    """Read a file of conf/noise as Hydra would compose it.

    Args:
        path: A YAML file of sections of strengths. The files of its folder that its ``defaults``
            name come before it.

    Raises:
        TypeError: If a strength is not known.
        ValueError: If a strength makes no sense.
    """
    sections = _read_sections(path)
    perfect = Noise()
    return replace(
        perfect,
        **{
            section.name: replace(getattr(perfect, section.name), **sections.get(section.name, {}))
            for section in fields(perfect)
        },
    )


def _read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """Read the sections of a file and of those before it, without the classes' names."""
    content = read_yaml(path)
    sections: dict[str, dict[str, Any]] = {}
    for name in content.pop("defaults", []):
        for section, strengths in _read_sections(path.with_name(f"{name}.yaml")).items():
            sections[section] = sections.get(section, {}) | strengths
    for section, strengths in content.items():
        if not section.startswith("_"):
            changes = {key: value for key, value in strengths.items() if not key.startswith("_")}
            sections[section] = sections.get(section, {}) | changes
    return sections


NOISES: dict[str, Noise] = {
    path.stem: read_noise(path) for path in sorted((config_dir() / "noise").glob("*.yaml"))
}
