"""The programs that come with SUMO (netconvert, sumo): where they are, and how they are run."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from worldloom.errors import MissingExtra


def sumo_home() -> Path:
    """The folder of the installed SUMO, the value of SUMO_HOME.

    Raises:
        MissingExtra: where neither the package eclipse-sumo nor a program `netconvert` on the path is installed.
    """
    spec = find_spec("sumo")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    program = shutil.which("netconvert")
    if program is None:
        raise MissingExtra("towns need SUMO, which is not installed; pip install 'worldloom[traffic]'")
    home = Path(program).resolve().parent.parent
    return home / "share" / "sumo" if (home / "share" / "sumo").is_dir() else home


def sumo_program(name: str) -> Path:
    """Path of one of SUMO's programs.

    Raises:
        MissingExtra: where SUMO, or this program of it, is not installed.
    """
    inside = sumo_home() / "bin" / name
    if inside.is_file():
        return inside
    outside = shutil.which(name)
    if outside is None:
        raise MissingExtra(
            f"towns need SUMO's program {name}, which is not installed; pip install 'worldloom[traffic]'"
        )
    return Path(outside)


def run_sumo_program(name: str, arguments: Sequence[str], folder: Path, timeout: float = 60.0) -> str:
    """Run a program of SUMO in `folder`; what it printed.

    Raises:
        MissingExtra: where SUMO is not installed.
        RuntimeError: where the program fails or does not end within `timeout` seconds.
    """
    program = sumo_program(name)
    environment = {**os.environ, "SUMO_HOME": str(sumo_home())}
    try:
        done = subprocess.run(
            [str(program), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} did not end within {timeout:g} s") from error
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed with code {done.returncode}: {' '.join(done.stderr.split())[-500:]}")
    return done.stdout
