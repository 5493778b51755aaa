"""Readers of image and microscope files: one file per format, numbers out."""

from stm_experiments.io.read import list_channels, read_scan
from stm_experiments.io.scan import Scan, ScanError

__all__ = ["Scan", "ScanError", "list_channels", "read_scan"]
