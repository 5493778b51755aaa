"""The page of ``--help`` of every command: keys with comments, and examples that can be run."""

import importlib
import shlex

import pytest
from test_imports import DOORS

from stm_experiments.app.launching import quote_path
from stm_experiments.core.config_files import config_dir

PLAIN = ("about", "view")  # without a config


def examples_of(page):
    """Return the arguments of the examples on a page of help."""
    lines = [line.strip() for line in page.splitlines()]
    commands = [line for line in lines if line.startswith(("python ", "stm-"))]
    return [shlex.split(line, comments=True) for line in commands]


@pytest.mark.parametrize("door", DOORS)
def test_help_has_three_examples_whose_keys_exist(door, command, compose_config):
    main = importlib.import_module(f"stm_experiments.{door}").main
    code, page, errors = command(main, "--help")
    assert (code or 0, errors) == (0, "")
    examples = examples_of(page)
    assert len(examples) >= 3
    for words in examples:
        assert any(door.replace("_", "-") in word.replace("_", "-") for word in words[:3])
        if door not in PLAIN:
            overrides = [quote_path(word) for word in words if "=" in word]
            one_each = [o.split(",")[0] if "-m" in words[2:] else o for o in overrides]
            compose_config(*one_each, name=door)


@pytest.mark.parametrize("door", [door for door in DOORS if door not in PLAIN])
def test_help_explains_every_key_of_the_command(door, command):
    main = importlib.import_module(f"stm_experiments.{door}").main
    _, page, _ = command(main, "--help")
    text = (config_dir() / f"{door}.yaml").read_text(encoding="utf-8")
    _, _, rest = text.partition("\n\n")
    keys = rest.partition("\nhydra:")[0].strip().splitlines()
    assert keys
    for line in keys:
        assert line in page
    assert "override hydra" not in page
    assert "\n\n\n" not in page, "a heading has nothing below it"


@pytest.mark.parametrize("door", PLAIN)
def test_a_command_without_keys_says_so_in_one_sentence(door, command):
    main = importlib.import_module(f"stm_experiments.{door}").main
    code, printed, errors = command(main, "--no-such-flag")
    assert (code, printed, errors.count("\n")) == (1, "", 1)
    assert errors.startswith(f"error: stm-{door}: unrecognized arguments: --no-such-flag; --help")


def test_a_misspelt_flag_is_recognised(command):
    from stm_experiments.train import main

    code, printed, errors = command(main, "--mutirun", "lattice=sc")
    assert (code, printed) == (1, "")
    assert errors == "error: there is no flag --mutirun (did you mean '--multirun'?)\n"
