"""Examples: an image with each artefact and each defect alone, to look at."""

from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.simulator.lattices.registry import AnyLattice
from stm_experiments.simulator.microscope.detector import DetectorNoise
from stm_experiments.simulator.microscope.motion import MotionNoise
from stm_experiments.simulator.microscope.scan import ScanNoise
from stm_experiments.simulator.microscope.tip import TipNoise
from stm_experiments.simulator.noise import Noise
from stm_experiments.simulator.presets import Preset
from stm_experiments.simulator.simulation import simulate
from stm_experiments.simulator.surface.defects import Defects
from stm_experiments.simulator.surface.jitter import SampleNoise

# c is the corrugation, a the lattice constant. Strong, so that each can be recognised.
EXAMPLES: dict[str, Noise] = {
    "nothing": Noise(),
    "displaced atoms, 0.03 a": Noise(sample=SampleNoise(position_jitter=0.03)),
    "uneven widths, 0.1": Noise(sample=SampleNoise(width_jitter=0.1)),
    "vacancies, 2 %": Noise(defects=Defects(vacancies=0.02)),
    "adatoms, 3 %": Noise(defects=Defects(adatoms=0.03)),
    "substitutions, 3 %, ±40 %": Noise(defects=Defects(substitutions=0.03, contrast=0.4)),
    "step, 2 c": Noise(defects=Defects(step=2.0)),
    "blunt tip, 1.5 px": Noise(tip=TipNoise(blur=1.5)),
    "double tip, 0.5 at 0.7 a": Noise(tip=TipNoise(double=0.5, double_distance=0.7)),
    "tip change: contrast x 0.6,\n0.3 c, blur 1 px, jump 3 px": Noise(
        tip=TipNoise(changes=1, change_gain=0.6, change_offset=0.3, change_blur=1, change_jump=3)
    ),
    "drift, 30 % of the frame": Noise(motion=MotionNoise(drift=0.3)),
    "creep, 8 % of the frame": Noise(motion=MotionNoise(creep=0.08)),
    "row jitter, 0.7 px": Noise(motion=MotionNoise(row_jitter=0.7)),
    "paper's striation, 0.3": Noise(scan=ScanNoise(striation=0.3)),
    "1/f noise, 0.3 c, a = 0.8": Noise(scan=ScanNoise(pink=0.3, pink_exponent=0.8)),
    "1/f noise, 0.3 c, a = 2": Noise(scan=ScanNoise(pink=0.3, pink_exponent=2.0)),
    "row offsets, 0.1 c": Noise(scan=ScanNoise(row_offset=0.1)),
    "scars on 5 % of the rows": Noise(scan=ScanNoise(scars=0.05)),
    "hum, 0.15 c, 10.4 periods": Noise(scan=ScanNoise(hum=0.15, hum_periods=10.4)),
    "tilt, 3 c": Noise(scan=ScanNoise(tilt=3.0)),
    "bow, 1 c": Noise(scan=ScanNoise(bow=1.0)),
    "feedback lag, 3 px": Noise(scan=ScanNoise(lag=3.0)),
    "paper's thermal noise, 0.3": Noise(detector=DetectorNoise(gaussian=0.3)),
    "paper's shot noise, 3.5": Noise(detector=DetectorNoise(poisson=3.5)),
    "white noise, 0.2 c": Noise(detector=DetectorNoise(white=0.2)),
    "shot noise, 0.1": Noise(detector=DetectorNoise(shot=0.1)),
    "levels of 0.2 c": Noise(detector=DetectorNoise(quantisation=0.2)),
}


def artefacts_alone(
    lattice: AnyLattice,
    seed: int,
    preset: str | Preset,
    size: int,
    orientation: ArrayLike | None = None,
) -> dict[str, Tensor]:
    """Simulate the same image with each artefact alone.

    Args:
        lattice: The lattice.
        seed: The image's seed.
        preset: The simulator's version.
        size: Image height and width, px.
        orientation: Of the crystal, [3] in [0, 1); None: drawn.

    Returns:
        Images by artefact and strength, [size, size] float32; of the feedback's lag also the
        backward trace.
    """
    images = {}
    for name, noise in EXAMPLES.items():
        scan = simulate(
            [lattice], [seed], noise, preset, size, orientation=orientation, backward=True
        )
        images[name] = scan.noisy[0, 0]
        if noise.scan.lag and scan.backward is not None:
            images[f"{name}, backward"] = scan.backward[0, 0]
    return images
