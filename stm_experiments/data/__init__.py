"""Images, simulated or from files, cut into batches of patches."""

from stm_experiments.data.batch import LABELS, Batch, Images
from stm_experiments.data.images import ImageData
from stm_experiments.data.loader import PatchLoader
from stm_experiments.data.patch_data import PatchData
from stm_experiments.data.scans import ScanData
from stm_experiments.data.simulated import SimulatedData
from stm_experiments.data.simulated_sites import SimulatedSites
from stm_experiments.data.site_data import SiteData
from stm_experiments.data.striped import StripedData

__all__ = [
    "LABELS",
    "Batch",
    "ImageData",
    "Images",
    "PatchData",
    "PatchLoader",
    "ScanData",
    "SimulatedData",
    "SimulatedSites",
    "SiteData",
    "StripedData",
]
