"""What a user reads of an exception: one sentence, without a traceback."""

import re
from collections.abc import Callable

from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from stm_experiments.core.config_files import config_dir
from stm_experiments.core.texts import did_you_mean, printable

# Errors of a user's input. All others are announced as unexpected.
EXPECTED = (
    ValueError,
    RuntimeError,
    PermissionError,
    OSError,
    OverrideParseException,
    ConfigCompositionException,
    MissingConfigException,
    OmegaConfBaseException,
)
# By name, because the import of Lightning takes seconds that other commands can do without.
EXPECTED_OF_LIGHTNING = ("MisconfigurationException",)
# Groups of train that are not in its config until a file of them is chosen.
EMPTY_GROUPS = ("experiment", "scheduler")


def one_sentence(error: BaseException) -> str:
    """Return what went wrong and where, without a traceback."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__  # of a launcher, which Hydra builds
    if str(error).startswith("Unable to configure handler") and error.__cause__ is not None:
        error = error.__cause__  # of the log file
    if isinstance(error, TypeError) and (sentence := _wrong_setting(str(error))):
        return sentence
    if isinstance(error, OSError) and error.filename and error.strerror:
        return printable(f"{error.filename} cannot be read or written: {error.strerror.lower()}")
    text = " ".join(str(error).split())
    for rewrite in REWRITES:
        text = rewrite(error, text)
    if not isinstance(error, EXPECTED) and type(error).__name__ not in EXPECTED_OF_LIGHTNING:
        text = f"unexpected {type(error).__name__}: {text}"
    return printable(text.rstrip("."))


def _wrong_setting(text: str) -> str:
    """Return the sentence for a setting that a class does not have or lacks; empty for others."""
    if match := re.search(r"(\w+)\.__init__\(\) got an unexpected keyword.*'(\w+)'", text):
        return f"{match[1]} has no setting named {match[2]!r}"
    if match := re.search(r"(\w+)\.__init__\(\) missing .* argument.*: (.*)", text):
        return f"{match[1]} needs a value for {match[2]}"
    return ""


def _without_interpolation(_: BaseException, text: str) -> str:
    """Remove what OmegaConf adds to the error of a resolver."""
    text = re.sub(r"^\w+ raised while resolving interpolation: ", "", text)
    return re.sub(r" ?full_key: \S+| ?object_type=\S+| ?reference_type=\S+", "", text)


def _with_cause_of_composition(error: BaseException, text: str) -> str:
    """Say which key may be meant, or add why a config cannot be composed, which the cause tells."""
    if not isinstance(error, ConfigCompositionException) or error.__cause__ is None:
        return text
    key = re.match(r"Could not override '([^']+)'", text)
    known = getattr(error.__cause__, "parent_node", None)  # where the key was looked for
    if key is not None and isinstance(known, DictConfig):
        parent, dot, _ = key[1].rpartition(".")
        empty = EMPTY_GROUPS if "trainer" in known and not parent else ()
        likely = did_you_mean(key[1], [parent + dot + str(each) for each in (*known, *empty)])
        return f"there is no key {key[1]!r}{likely or ': --help lists all'}"
    cause = " ".join(str(error.__cause__).split("\n")[0].split())
    return f"{text.rstrip('.')} ({cause.rstrip('.')})"


def _as_key_and_value(error: BaseException, text: str) -> str:
    """Say how a setting is written, and which value is missing."""
    if missing := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{missing[1]} has no value: give {missing[1]}=..."
    if lone := re.match(r"Error parsing override '(.+)' missing EQUAL", text):
        return f"{lone[1]!r} sets nothing: write key=value, without blanks around ="
    if several := re.match(r"Ambiguous value for argument '([^=]+)=(.*?)' 1\.", text):
        return f"{several[1]} has several values: write {several[1]}=[{several[2]}], or sweep by -m"
    if lone := re.match(r"Error parsing override '([^=]+)' extraneous input", text):
        return f"{lone[1]!r} sets nothing: write key=value; --help lists the keys"
    if quoted := re.match(r"LexerNoViableAltException: ([\"'].*?) +\^", text):
        return f"{quoted[1]} is not understood: write key=value, without quotes inside the shell's"
    if odd := re.match(r"LexerNoViableAltException: (.*?) +\^", text):
        return f"{odd[1]} is not understood: put a value with special characters in quotes"
    return text


def _without_advice(_: BaseException, text: str) -> str:
    """Remove Hydra's advice, which is rarely right, and its links."""
    advice = r" To append to your config use \+\S+| To append to your default list.*"
    return re.sub(r" Did you mean to override.*| See https?://\S+.*", "", re.sub(advice, "", text))


def _with_choices(error: BaseException, text: str) -> str:
    """List the files of a config group in place of the search path."""
    if not isinstance(error, MissingConfigException):
        return text
    text = re.sub(r" (Available options in|Config search path:).*", "", text).rstrip(".")
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    known = list(error.options or []) or choices(group)
    if not known:
        return f"{text}; config groups of your own need --config-dir=<their folder>"
    return f"{text}{did_you_mean(name, known)}: choose from {', '.join(known)}"


def choices(group: str) -> list[str]:
    """Return the names of the files of a config group."""
    return sorted(file.stem for file in (config_dir() / group).glob("*.yaml"))


# Applied to the text of every other error, in this order.
REWRITES: tuple[Callable[[BaseException, str], str], ...] = (
    _without_interpolation,
    _with_cause_of_composition,
    _as_key_and_value,
    _without_advice,
    _with_choices,
)
