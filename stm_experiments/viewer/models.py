"""The choice of a model in a form, without the import of torch, which takes seconds."""

from importlib.resources import files
from pathlib import Path
from typing import Any

SHIPPED = sorted(
    Path(file.name).stem
    for file in (files("stm_experiments") / "models" / "weights").iterdir()
    if file.name.endswith(".ckpt")
)
MODEL: dict[str, Any] = {"choices": SHIPPED, "label": "model"}
OWN: dict[str, Any] = {"label": "or a file", "nullable": True, "filter": "Models (*.ckpt)"}
