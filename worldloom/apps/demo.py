"""`worldloom demo`: both main jobs on the bundled samples."""

import shutil
import sys
from pathlib import Path

from rich.console import Console

from worldloom.apps.drive import make_drive
from worldloom.apps.scene import make_scene
from worldloom.synth.samples import sample_clip_path, sample_panorama_path


def run_demo(out: Path, *, force: bool) -> None:
    """Make OUT/scene and OUT/drive and say what to look at."""
    console = Console()
    console.print(f"[bold]Scene[/]: the sample panorama {sample_panorama_path().name} becomes splats to walk through")
    scene = make_scene(sample_panorama_path(), out / "scene", force=force)
    console.print(f"[bold]Drive[/]: the sample clip {sample_clip_path().name} goes on along its own ego path")
    drive = make_drive(sample_clip_path(), out / "drive", path="log", force=force)
    console.print("\n[bold]Look at[/]", highlight=False)
    for folder, names in (
        (scene.folder, ("preview.png", "preview.mp4", "scene.ply", "report.json")),
        (drive.folder, ("preview.png", "birdseye.mp4", "perspective.mp4", "report.json")),
    ):
        for name in names:
            console.print(f"  {folder / name}", highlight=False, soft_wrap=True)
    console.print("[bold]Walk through them[/] in a browser", highlight=False)
    command = "worldloom" if shutil.which("worldloom") else sys.argv[0]  # in a .venv that is not active: its path
    for folder in (scene.folder, drive.folder):
        console.print(f"  {command} app --show {folder}", highlight=False, soft_wrap=True)
