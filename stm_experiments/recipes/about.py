"""What is installed and at hand, in plain lines."""

import importlib.metadata
import platform
import re
from collections.abc import Iterator

from stm_experiments.io.formats import FORMATS, UNREAD

NAME = "stm_experiments"
REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+)[^;]*(;.*extra == ['"](?P<extra>\w+)['"])?""")
FOR_DEVELOPERS = "dev"


def about() -> str:
    """Return versions, devices, formats and models, one subject a line."""
    return "\n".join(f"{subject:<12}{facts}" for subject, facts in _facts())


def _facts() -> Iterator[tuple[str, str]]:
    """Yield subjects, and what is to be said of each."""
    yield "package", f"{NAME} {installed_version(NAME)}"
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield from _devices_and_models()
    for extra, names in requirements().items():
        versions = [f"{name} {installed_version(name) or 'is not installed'}" for name in names]
        yield (f"[{extra}]" if extra else "libraries"), ", ".join(versions)
    yield "formats", " ".join(FORMATS)
    yield "not read", " ".join(UNREAD)


def _devices_and_models() -> Iterator[tuple[str, str]]:
    """Yield what torch finds, or why it cannot be used, which is what a report needs to say."""
    try:
        import torch

        from stm_experiments.models.checkpoint import shipped_models
    except Exception as error:  # an installation that is damaged raises anything
        yield "torch", f"cannot be imported: {type(error).__name__}: {error}"
        return
    threads = torch.get_num_threads()
    plural = "" if threads == 1 else "s"
    yield "CPU", f"{torch.backends.cpu.get_cpu_capability()}, {threads} thread{plural}"
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    yield "GPU", ", ".join(gpus) or "none that torch can use"
    yield "models", " ".join(shipped_models())


def requirements() -> dict[str, list[str]]:
    """Return the distributions that the package needs: by extra; "" for those it always needs."""
    found: dict[str, list[str]] = {"": []}
    for text in importlib.metadata.requires(NAME) or ():
        match = REQUIREMENT.match(text)
        assert match is not None
        name, extra = match["name"], match["extra"] or ""
        if extra != FOR_DEVELOPERS and name != NAME:
            found.setdefault(extra, []).append(name)
    return found


def installed_version(name: str) -> str:
    """Return the version of a distribution; empty if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
