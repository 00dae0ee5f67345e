"""The wheel's build backend: maturin, whose wheel holds the programs of one package, with the sandbox's program added."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import maturin
from maturin import (  # noqa: F401  The other hooks are maturin's.
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

# Maturin puts what is in `scripts` of a folder of this name into the wheel as programs.
DATA = Path("tap-hubspot-tickets.data")
# Those of maturin's arguments that are Cargo's, too, and decide where and how the program is built.
SHARED = ("--profile", "--target")


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with sandbox(config_settings):
        return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with sandbox(config_settings):
        return maturin.build_editable(wheel_directory, config_settings, metadata_directory)


@contextmanager
def sandbox(config_settings):
    """The sandbox's program in maturin's folder, for as long as the wheel is built."""
    shutil.rmtree(DATA, ignore_errors=True)
    try:
        arguments = shared(maturin.get_maturin_pep517_args(config_settings))
        command = ["cargo", "install", "--path", "sandbox", "--root", str(DATA), "--locked", "--no-track", "--quiet"]
        subprocess.run(command + arguments, check=True, env=environment())
        (DATA / "bin").rename(DATA / "scripts")
        yield
    finally:
        shutil.rmtree(DATA, ignore_errors=True)


def shared(arguments):
    """Those of maturin's arguments that `cargo install` takes, too."""
    found = []
    for at, argument in enumerate(arguments):
        if argument in SHARED:
            found += arguments[at : at + 2]
        elif argument.startswith(tuple(name + "=" for name in SHARED)):
            found.append(argument)
    return found


def environment():
    """That of the Cargo to build with; where there is none, maturin's requirements have brought an installer."""
    if shutil.which("cargo"):
        return None
    from puccinialin import setup_rust

    return {**os.environ, **setup_rust()}
