from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

import h5py
import numpy as np
import pytest

from mumott_dask.compat.output_handling import dict_to_h5, saving

THEIRS = {
    "methods.basis_sets": "GaussianKernels",
    "methods.residual_calculators": "GradientResidualCalculator",
    "methods.utilities": "get_sirt_weights",
    "optimization.loss_functions": "HuberLoss",
    "optimization.optimizers": "LBFGS",
    "optimization.regularizers": "TotalVariation",
    "output_handling": "ProjectionViewer",
    "pipelines": "run_sigtt",
}


def take(module, name):
    """`from module import name`."""
    exec(f"from mumott_dask.compat.{module} import {name}", namespace := {})
    return namespace[name]


@pytest.mark.parametrize("module", THEIRS)
def test_a_name_that_is_not_here_says_so(module):
    name = THEIRS[module]
    with pytest.raises(
        ImportError, match=rf"compat.{module} has no '{name}', and mumott, which has it, can't"
    ):
        take(module, name)
    assert not hasattr(import_module(f"mumott_dask.compat.{module}"), "Elsewhere")


def test_a_name_that_is_not_here_is_mumotts_where_that_is_installed(monkeypatch):
    theirs = ModuleType("mumott.pipelines")
    theirs.run_sigtt = "theirs"
    monkeypatch.setitem(sys.modules, "mumott", ModuleType("mumott"))
    monkeypatch.setitem(sys.modules, "mumott.pipelines", theirs)
    assert take("pipelines", "run_sigtt") == "theirs"
    assert take("pipelines", "optical_flow_alignment").__name__.startswith("mumott_dask.compat")
    with pytest.raises(ImportError, match="cannot import name 'nowhere'"):
        take("pipelines", "nowhere")


def test_a_dictionary_becomes_a_file(tmp_path, caplog):
    path = tmp_path / "a.h5"
    dict_to_h5({"a": 5, "b": "123", "c": {"L": ["test"], "x": np.eye(2)}, "d": None}, path)
    with h5py.File(path) as file:
        assert file["a"][0] == 5
        assert file["b"][0] == b"123"
        assert file["c/L"][0] == b"test"
        np.testing.assert_array_equal(file["c/x"], np.eye(2))
        assert "d" not in file
    assert "'d' is of type object" in caplog.text
    with pytest.raises(FileExistsError, match="overwrite=True"):
        dict_to_h5({"a": 6}, path)
    with pytest.raises(ValueError, match="inhomogeneous"):
        dict_to_h5({"a": 7, "ragged": [[1], [1, 2]]}, path, overwrite=True)
    with h5py.File(path) as file:
        assert file["a"][0] == 5
    dict_to_h5({"a": 6}, path, overwrite=True)
    with h5py.File(path) as file:
        assert file["a"][0] == 6


def test_a_dictionary_is_saved_by_the_name_of_the_module_too():
    assert saving.dict_to_h5 is dict_to_h5
