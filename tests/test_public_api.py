"""The names at the top of the package."""

import ast
import importlib
import subprocess
import sys

import pytest

import stm_experiments


@pytest.mark.parametrize("name", stm_experiments.__all__)
def test_names_are_those_of_their_rooms(name):
    module = importlib.import_module(stm_experiments._MODULES[name])
    # A command of the same name may have been imported by another test.
    vars(stm_experiments).pop(name, None)
    assert getattr(stm_experiments, name) is getattr(module, name)
    assert name in dir(stm_experiments)


def test_a_command_that_was_imported_does_not_hide_the_function_of_its_name():
    program = (
        "import stm_experiments, stm_experiments.simulate\n"
        "batch = stm_experiments.simulate(['sc'], seeds=[0], size=64)\n"
        "assert batch.noisy.shape == (1, 1, 64, 64)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_type_checkers_see_what_is_imported():
    """The names of the API, of the imports for type checkers, and of the lazy imports agree."""
    with open(stm_experiments.__file__, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    typed = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        for alias in node.names
    }
    assert typed == stm_experiments._MODULES
    assert sorted(typed) == stm_experiments.__all__


def test_other_names_do_not_exist():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        stm_experiments.no_such_name  # noqa: B018
    assert not hasattr(stm_experiments, "torch")


def test_the_import_is_light():
    program = (
        "import sys, stm_experiments; assert not {'torch', 'numpy', 'hydra'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
