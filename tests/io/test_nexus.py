"""NeXus files against the application definition NXstm and those it extends, as of 2025."""

import numpy as np
import pytest

from stm_experiments.io import Scan

# Path below the entry -> NX_class of a group; of a field its units' dimension, "" for text.
REQUIRED = {
    "": "NXentry",
    "definition": "",
    "scan_mode": "",
    "experiment_technique": "",
    "process": "NXprocess",
    "process/program": "",
    "experiment_instrument": "NXinstrument",
    "experiment_instrument/hardware": "NXfabrication",
    "experiment_instrument/hardware/model": "",
    "experiment_instrument/scan_environment": "NXenvironment",
    "experiment_instrument/scan_environment/scan_control": "NXscan_control",
    "experiment_instrument/scan_environment/scan_control/scan_type": "",
    "experiment_instrument/scan_environment/scan_control/scan_region": "NXobject",
    "experiment_instrument/scan_environment/scan_control/scan_region/scan_range": "m",
    "experiment_instrument/current_sensor": "NXsensor",
    "experiment_instrument/current_sensor/current": "A",
    "experiment_instrument/piezo_sensor": "NXsensor",
    "experiment_instrument/piezo_sensor/positioner_spm": "NXpositioner_spm",
    "experiment_instrument/piezo_sensor/positioner_spm/z_controller": "NXpid",
    "experiment_instrument/piezo_sensor/positioner_spm/z_controller/set_point": "A",
    "reproducibility_indicators": "NXcollection",
    "Z_forward": "NXdata",
    "Z_forward/data": "m",
}
OPTIONAL = {
    "scan_type": "",
    "start_time": "",
    "experiment_description": "",
    "experiment_instrument/scan_environment/scan_control/scan_region/scan_angle_1": "deg",
    "experiment_instrument/sample_bias_voltage": "NXsensor",
    "experiment_instrument/sample_bias_voltage/bias_voltage": "V",
    "experiment_instrument/sample_bias_votage": "NXsensor",  # the older spelling
    "experiment_instrument/sample_bias_votage/bias_voltage": "V",
    "reproducibility_indicators/current": "A",
    "Z_forward/x": "m",
    "Z_forward/y": "m",
}
CHOICES = {
    "definition": ["NXstm"],
    "experiment_technique": ["STM", "STS", "AFM"],
    "scan_mode": ["constant height", "constant current"],
    "experiment_instrument/scan_environment/scan_control/scan_type": [
        *("mesh", "trajectory", "snake", "spiral")
    ],
}


def content(group, prefix=""):
    """Return all groups and fields below a group, hard links followed: path -> node."""
    nodes = {}
    for name, node in group.items():
        nodes[f"{prefix}{name}"] = node
        if hasattr(node, "items"):
            nodes |= content(node, f"{prefix}{name}/")
    return nodes


def test_every_node_has_the_place_class_and_unit_of_the_definition(tmp_path):
    h5py = pytest.importorskip("h5py")
    metadata = {
        "bias_V": -0.55,
        "setpoint_A": 1e-10,
        "angle_deg": 30.0,
        "date": "2025-03-20T19:19:33",
        "instrument": "Createc",
        "comment": "cold",
    }
    data = np.random.default_rng(0).normal(size=(5, 7))
    Scan(data, data < 9, "m", (0.1, 0.05), "Z", metadata=metadata).save(tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        nodes = {"": file["entry"], **content(file["entry"])}
        assert set(nodes) == set(REQUIRED) | set(OPTIONAL)
        for path, kind in (REQUIRED | OPTIONAL).items():
            node = nodes[path]
            if kind.startswith("NX"):
                assert node.attrs["NX_class"] == kind, path
            elif kind:
                assert node.dtype.kind == "f", path
                assert node.attrs["units"] == kind, path
            else:
                text = node[()].decode()
                assert text in CHOICES.get(path, [text])
        for name in (nodes[""].attrs["default"], *(f"Z_forward/{axis}" for axis in "xy")):
            assert name in nodes
        size = [nodes[f"Z_forward/{axis}"].size for axis in nodes["Z_forward"].attrs["axes"]]
        assert tuple(size) == nodes["Z_forward/data"].shape == (5, 7)


def test_what_is_not_known_is_absent(tmp_path):
    h5py = pytest.importorskip("h5py")
    data = np.random.default_rng(0).normal(size=(5, 7))
    Scan(data, data < 9, "A", None, "Current").save(tmp_path / "a.nxs")
    with h5py.File(tmp_path / "a.nxs") as file:
        nodes = content(file["entry"])
    unknown = ("scan_mode", "start_time", "reproducibility_indicators")
    assert not set(unknown) & set(nodes)
    assert not any("sensor" in path or "scan_range" in path for path in nodes)
