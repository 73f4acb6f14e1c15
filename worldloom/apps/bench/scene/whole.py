"""A scene from a panorama as a user makes it: time, memory, splats, and how it looks from the panorama's place."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from worldloom.apps.bench.result import Row
from worldloom.apps.scene import PICTURES
from worldloom.apps.scene_input import load_panorama, shrunk
from worldloom.errors import InputError
from worldloom.recon.centre_view import centre_psnr
from worldloom.recon.panorama_backdrop import scene_splats
from worldloom.recon.scene_distance import EMBEDDED, distance_of_panorama
from worldloom.synth.samples import sample_panorama_path

_ROWS = 512


def scene_rows(quick: bool) -> list[Row]:
    """`worldloom scene` on the sample room, with everything it writes, in a process of its own."""
    rows = _ROWS // 4 if quick else _ROWS
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "scene"
        command = [sys.executable, "-m", "worldloom.apps.cli", "scene", str(sample_panorama_path()), "--out", str(out)]
        command += ["--depth-model", EMBEDDED, "--rows", str(rows)]
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - began
        if child.returncode:
            raise InputError(f"expected a scene of the sample room, got exit code {child.returncode}")
        splats = json.loads((out / "report.json").read_text())["num_splats"]
    note = f"the sample room at {2 * rows}x{rows}, learned distance, from start to exit of the command, all files"
    cpu = usage.ru_utime + usage.ru_stime
    return [
        Row("scene_seconds", wall, "s", "<= 90", {"CPU": cpu}, note),
        Row("scene_peak_gb", usage.ru_maxrss / 1e6, "GB", "<= 6", note=note),
        Row("scene_splats", splats, "1", "" if quick else ">= 200000", note=note),
    ]


def real_rows(data: Path) -> list[Row]:
    """Views from the centre of scenes of real panoramas.

    Raises:
        InputError: no panoramas there, or files that are none.
    """
    files = sorted(path for path in data.rglob("*") if path.suffix.lower() in PICTURES)
    if not files:
        raise InputError(f"{data}: expected a folder with panoramas ({', '.join(PICTURES)}), got none")
    found: dict[str, float] = {}
    for path in files:
        rgb = load_panorama(path)
        rgb = shrunk(rgb, _ROWS) if rgb.shape[1] > _ROWS else rgb
        panorama = distance_of_panorama(rgb, model=EMBEDDED).panorama
        found[path.relative_to(data).as_posix()] = centre_psnr(panorama, scene_splats(panorama))
    note = f"the worst of {len(files)} panoramas at {_ROWS} rows or fewer; six 90° views, two pixels for each of theirs"
    return [Row("center_psnr_real", min(found.values()), "dB", ">= 30", found, note)]
