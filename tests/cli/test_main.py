"""What holds for every command."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import mumott_dask
from mumott_dask import ScanError
from mumott_dask.cli import main
from mumott_dask.cli.running import Commands

COMMANDS = ("demo", "info", "convert", "align", "reconstruct", "compare", "validate", "simulate")
COMMANDS += ("campaign", "attach", "stop", "report", "serve-monitor")
HEAVY = ("numpy", "xarray", "dask", "distributed", "numba", "matplotlib", "rich", "zarr", "h5py", "scipy")


def test_the_commands_are_these(invoke):
    shown = invoke("--help").output
    assert tuple(main.commands) == COMMANDS
    assert all(f"\n  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name != "campaign"]
)  # which has commands of its own
def test_help_ends_with_an_example_that_the_command_takes(name, invoke):
    shown = invoke(name, "--help").output
    line = main.commands[name].epilog
    assert "Example: " in shown
    program, command, *arguments = shlex.split(line.removeprefix("Example: "))
    assert (program, command) == ("mumott-dask", name)
    context = main.commands[name].make_context(name, arguments)
    assert context.params


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from mumott_dask.cli import main
main({arguments!r}, standalone_mode=False)
print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_version_and_the_module(command):
    done = command("--version")
    assert done.returncode == 0
    assert done.stdout == f"mumott-dask, version {mumott_dask.__version__}\n"


def test_the_installed_command_is_the_same():
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="console_scripts", name="mumott-dask")
    assert entry.load() is main


def _failing(error: BaseException) -> click.Group:
    group = Commands("mumott-dask")

    @group.command("fail")
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ScanError("scan.h5: one\n  fault"), "mumott-dask: scan.h5: one fault\n"),
        (
            FileNotFoundError(2, "No such file or directory", "scan.h5"),
            "mumott-dask: scan.h5: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), "mumott-dask: No space left on device\n"),
        (TimeoutError(), "mumott-dask: TimeoutError\n"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(error, line):
    result = CliRunner().invoke(_failing(error), ["fail"])
    assert (result.exit_code, result.stderr, result.stdout) == (2, line, "")


def test_an_interrupt_is_one_line_and_exit_code_130():
    result = CliRunner().invoke(_failing(KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stderr) == (130, "mumott-dask: interrupted\n")


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(_failing(ZeroDivisionError()), ["fail"], catch_exceptions=False)


def test_a_reader_that_stops_reading_gets_no_traceback(scan_path):
    line = f"{shlex.quote(sys.executable)} -m mumott_dask info {shlex.quote(str(scan_path))} | true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == ""
