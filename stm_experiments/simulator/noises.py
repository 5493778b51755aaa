"""Everything that spoils an image, and the named strengths of it (``conf/noise`` has the same)."""

import math
from dataclasses import dataclass, field

from stm_experiments.simulator.microscope.detector import DetectorNoise
from stm_experiments.simulator.microscope.motion import MotionNoise
from stm_experiments.simulator.microscope.scan import ScanNoise
from stm_experiments.simulator.microscope.stripes import StripeNoise
from stm_experiments.simulator.microscope.tip import TipNoise
from stm_experiments.simulator.surface.defects import Defects
from stm_experiments.simulator.surface.sample import SampleNoise


@dataclass(frozen=True)
class Noise:
    """Noise by where it arises: sample, scan and detector of the paper; what real scans add."""

    sample: SampleNoise = field(default_factory=SampleNoise)
    scan: ScanNoise = field(default_factory=ScanNoise)
    detector: DetectorNoise = field(default_factory=DetectorNoise)
    defects: Defects = field(default_factory=Defects)
    tip: TipNoise = field(default_factory=TipNoise)
    motion: MotionNoise = field(default_factory=MotionNoise)
    stripes: StripeNoise = field(default_factory=StripeNoise)


_JITTER = SampleNoise(0.2 / 15, 0.045)

NOISES: dict[str, Noise] = {
    "none": Noise(),
    "paper": Noise(_JITTER, ScanNoise(0.3), DetectorNoise(0.3, 3.5)),
    "realistic": Noise(
        _JITTER,
        ScanNoise(
            pink=(0.05, 0.3),
            row_offset=(0.01, 0.1),
            scars=(0.0, 0.03),
            hum=(0.02, 0.3),
            tilt=(0.3, 30.0),
            bow=(0.1, 0.5),
            lag=(0.3, 1.0),
        ),
        DetectorNoise(white=(0.01, 0.05), shot=(0.02, 0.1), quantisation=0.002),
        Defects(vacancies=(0.0, 0.03), adatoms=(0.0, 0.01), substitutions=(0.0, 0.03)),
        TipNoise(
            blur=(0.0, 1.0),
            changes=1,
            change_gain=(0.5, 1.5),
            change_offset=(0.0, 1.0),
            change_blur=(0.0, 1.0),
            change_jump=(0.0, 2.0),
            change_chance=0.5,
        ),
        MotionNoise(drift=(0.0, 0.1), creep=(0.0, 0.02), row_jitter=(0.1, 0.5)),
    ),
    "realistic_hard": Noise(
        _JITTER,
        ScanNoise(
            pink=(0.05, 0.3),
            row_offset=(0.01, 0.4),
            scars=(0.0, 0.1),
            hum=(0.02, 0.3),
            tilt=(0.3, 30.0),
            bow=(0.1, 0.5),
            lag=(0.3, 3.0),
        ),
        DetectorNoise(white=(0.01, 0.2), shot=(0.02, 0.1), quantisation=0.01),
        Defects(
            vacancies=(0.0, 0.03),
            adatoms=(0.0, 0.03),
            substitutions=(0.0, 0.03),
            step=(0.5, 5.0),
            step_chance=0.3,
        ),
        TipNoise(
            blur=(0.0, 1.5),
            double=(0.1, 0.6),
            changes=2,
            change_gain=(0.5, 1.5),
            change_offset=(0.0, 1.0),
            change_blur=(0.0, 1.5),
            change_jump=(0.0, 5.0),
            chance=0.5,
            change_chance=0.5,
        ),
        MotionNoise(drift=(0.0, 0.4), creep=(0.0, 0.05), row_jitter=(0.1, 1.0)),
    ),
    "denoise": Noise(
        _JITTER,
        ScanNoise(
            striation=(0.05, 0.6),
            striation_kappa=(math.pi / 8, math.pi / 2),
            striation_turned=True,
            pink=(0.05, 0.3),
            row_offset=(0.01, 0.2),
            scars=(0.0, 0.05),
            hum=(0.02, 0.3),
            tilt=(0.1, 1.0),
            lag=(0.3, 1.5),
            chance=0.33,
            striation_chance=0.6,
        ),
        DetectorNoise(gaussian=(0.05, 0.6), poisson=(0.0, 6.0)),
        Defects(
            vacancies=(0.0, 0.03),
            adatoms=(0.0, 0.03),
            substitutions=(0.0, 0.03),
            step=(0.3, 3.0),
            chance=0.5,
            step_chance=0.15,
        ),
        TipNoise(
            blur=(0.0, 1.0),
            changes=1,
            change_gain=(0.7, 1.4),
            change_offset=(0.0, 0.3),
            change_blur=(0.0, 1.0),
            change_jump=(0.0, 2.0),
            chance=0.33,
            change_chance=0.33,
        ),
        MotionNoise(drift=(0.0, 0.1), creep=(0.0, 0.02), row_jitter=(0.1, 0.7), chance=0.33),
    ),
    "stripes": Noise(
        _JITTER,
        ScanNoise(
            pink=(0.02, 0.15),
            row_offset=(0.01, 0.05),
            tilt=(0.1, 1.0),
            lag=(0.3, 1.0),
            chance=0.4,
        ),
        DetectorNoise(white=(0.0, 0.1)),
        Defects(
            vacancies=(0.0, 0.03),
            adatoms=(0.0, 0.03),
            substitutions=(0.0, 0.03),
            step=(0.3, 3.0),
            chance=0.5,
            step_chance=0.15,
        ),
        TipNoise(
            blur=(0.0, 1.0),
            changes=1,
            change_gain=(0.7, 1.4),
            change_offset=(0.0, 0.3),
            change_blur=(0.0, 1.0),
            change_jump=(0.0, 2.0),
            chance=0.33,
            change_chance=0.15,
        ),
        MotionNoise(drift=(0.0, 0.1), creep=(0.0, 0.02), row_jitter=(0.1, 0.5), chance=0.33),
        StripeNoise(
            replaced=(0.0, 0.03),
            lifted=(0.0, 0.03),
            partial=0.6,
            span=(0.3, 1.0),
            correlation=(0.0, 4.0),
            gain=(0.6, 1.4),
            chance=0.8,
        ),
    ),
    "srtio3": Noise(detector=DetectorNoise(uniform=1 / 0.33)),
    "srtio3_scan": Noise(
        SampleNoise(strain=(0.0, 0.02)),
        ScanNoise(row_offset=(0.0, 0.1)),
        DetectorNoise(shot=(0.15, 1.5)),
        Defects(vacancies=(0.0, 0.02), substitutions=(0.0, 0.04)),
        motion=MotionNoise(row_jitter=(0.0, 0.5)),
    ),
    "mos2_stem": Noise(
        SampleNoise(0.2 / 15, 0.045, strain=(0.0, 0.02)),
        ScanNoise(),
        DetectorNoise(white=(0.01, 0.05), shot=(0.05, 0.15)),
        Defects(vacancies=(0.01, 0.02), adatoms=(0.0, 0.005), substitutions=(0.01, 0.03)),
        TipNoise(blur=(0.0, 1.0)),
        MotionNoise(drift=(0.0, 0.05), row_jitter=(0.1, 0.5)),
    ),
}
