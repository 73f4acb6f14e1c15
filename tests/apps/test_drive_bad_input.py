"""Bad input to `worldloom drive`: one line that says what was expected and what came, exit code 2, nothing written."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from worldloom.apps import cli

SHAPE = (200, 200, 16)


def labels_file(path: Path, **changes: np.ndarray | None) -> Path:
    """A labels.npz that is right but for `changes`; None leaves an array out."""
    arrays: dict[str, np.ndarray | None] = {
        "semantics": np.full(SHAPE, 17, np.uint8),
        "mask_lidar": np.ones(SHAPE, np.uint8),
        "mask_camera": np.ones(SHAPE, np.uint8),
        **changes,
    }
    present = {k: v for k, v in arrays.items() if v is not None}
    np.savez_compressed(path, allow_pickle=True, **present)
    return path


def truncated(path: Path) -> Path:
    labels_file(path)
    path.write_bytes(path.read_bytes()[:-400])
    return path


def damaged(path: Path) -> Path:
    """Whole as a zip, with rubbish where the compressed bits were."""
    labels_file(path, semantics=np.random.default_rng(0).integers(0, 18, SHAPE, np.uint8))
    content = bytearray(path.read_bytes())
    content[1000:1200] = bytes(200)
    path.write_bytes(content)
    return path


def bomb(path: Path) -> Path:
    """A header that promises 10^15 voxels, before one byte of them."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000, 1000), }"
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("semantics", "mask_lidar", "mask_camera"):
            archive.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return path


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def other(**changes: int) -> np.ndarray:
    array = np.full(SHAPE, 17, np.uint8)
    for value in changes.values():
        array[3, 4, 5] = value
    return array


def folder(path: Path) -> Path:
    path.with_suffix("").mkdir()
    return path.with_suffix("")


BAD_CLIPS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda p: p, "expected .*got"),
    "empty file": (lambda p: written(p, b""), r"expected an \.npz file, got"),
    "text": (lambda p: written(p, "frames: 4\n"), r"expected an \.npz file, got"),
    "empty folder": (folder, "expected .*labels.npz.* got none"),
    "wrong shape": (lambda p: labels_file(p, semantics=np.zeros((100, 100, 8), np.uint8)), "200 200 16.*100 100 8"),
    "wrong dtype": (lambda p: labels_file(p, semantics=np.zeros(SHAPE, np.float32)), "expected .*uint8.*got float32"),
    "class ids": (lambda p: labels_file(p, semantics=other(label=18)), "expected class ids 0..17.*got 18"),
    "pickled": (
        lambda p: labels_file(p, semantics=np.array([{"a": 1}], dtype=object)),
        "expected plain numbers.*got Python objects",
    ),
    "truncated": (truncated, "expected .*got"),
    "damaged": (damaged, "expected a whole array.*got damaged data"),
    "zip bomb": (bomb, "expected .*200 200 16.*got .*1000000 1000000 1000"),
    "no mask": (lambda p: labels_file(p, mask_lidar=None), "expected an array 'mask_lidar', got"),
    "mask of 2": (lambda p: labels_file(p, mask_camera=other(label=2)), "expected 0 or 1 in 'mask_camera', got 17"),
    "other npz": (lambda p: labels_file(p, semantics=None), "expected an array 'semantics', got"),
}


def path_json(path: Path, poses: np.ndarray) -> Path:
    return written(path, json.dumps({"world_from_ego": poses.tolist(), "dt": 0.5}))


def poses(num: int, step: float = 2.0) -> np.ndarray:
    matrices = np.eye(4)[None].repeat(num, 0)
    matrices[:, 0, 3] = step * np.arange(num)
    return matrices


def with_nan() -> np.ndarray:
    matrices = poses(14)
    matrices[5, 1, 3] = np.nan
    return matrices


def with_jump() -> np.ndarray:
    matrices = poses(14)
    matrices[7:, 0, 3] += 500
    return matrices


def path_npz(path: Path, matrices: np.ndarray) -> Path:
    timestamps = 1_538_984_233_547_259 + 500_000 * np.arange(len(matrices), dtype=np.int64)
    np.savez(path, world_from_ego=matrices, timestamps=timestamps)
    return path


BAD_PATHS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "unknown name": (lambda p: Path("zigzag"), "expected a path log, straight, .* got 'zigzag'"),
    "missing file": (lambda p: p, "expected a path log, straight, .* got"),
    "empty file": (lambda p: written(p, b""), "expected .*got"),
    "NaN": (lambda p: path_npz(p, with_nan()), "expected finite.*got NaN.* 5"),
    "jump": (lambda p: path_npz(p, with_jump()), "expected at most 60 m.s, got 1004 m.s from frame 6 to 7"),
    "too few poses": (lambda p: path_npz(p, poses(6)), "expected a path of at least 7 poses.*got 6"),
    "not rigid": (lambda p: path_npz(p, 2 * poses(14)), "expected rigid.*got"),
    "pickled": (
        lambda p: (np.savez(p, world_from_ego=np.array([{}], dtype=object), timestamps=np.zeros(1, np.int64)), p)[1],
        "expected plain numbers.*got Python objects",
    ),
}

BAD_NUMBERS: dict[str, tuple[list[str], str]] = {
    "negative speed": (["--path", "straight", "--speed", "-1"], r"expected a speed of 0 to 60 m/s, got -1"),
    "NaN speed": (["--path", "left", "--speed", "nan"], "expected a speed of 0 to 60 m/s, got nan"),
    "infinite speed": (["--path", "left", "--speed", "inf"], "expected a speed of 0 to 60 m/s, got inf"),
    "horizon 0": (["--horizon", "0"], "expected a horizon of 1 to 256 frames, got 0"),
    "absurd horizon": (["--horizon", "1000000000"], "expected a horizon of 1 to 256 frames, got 1000000000"),
    "no past": (["--past", "0"], "expected at least 1 past frame, got 0"),
    "past beyond the clip": (["--past", "7"], "expected at most 6 past frames.*got 7"),
    "log too short": (["--path", "log", "--past", "4", "--horizon", "3"], "expected 7 frames.*got 6"),
}


def listing(root: Path) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_size for p in sorted(root.rglob("*"))}


def run_in_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["worldloom", "drive", *arguments])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0), capfd.readouterr().err


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[list[str], str], None]:
    """Call the command and require one line, exit code 2 and an unchanged folder."""

    def check(arguments: list[str], message: str) -> None:
        before = listing(tmp_path)
        code, err = run_in_process(monkeypatch, capfd, arguments)
        assert code == 2, err
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith("worldloom: error: ")
        assert_matches(message, lines[0])
        assert listing(tmp_path) == before

    return check


def assert_matches(pattern: str, text: str) -> None:
    with pytest.raises(ValueError, match=pattern):
        raise ValueError(text)


@pytest.mark.parametrize("case", BAD_CLIPS)
def test_bad_clip(case: str, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    make, message = BAD_CLIPS[case]
    refused([str(make(tmp_path / "clip.npz")), "--out", str(tmp_path / "out")], message)


@pytest.mark.parametrize("case", BAD_PATHS)
def test_bad_path(case: str, street_clip: Path, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    make, message = BAD_PATHS[case]
    arguments = ["--path", str(make(tmp_path / "path.npz")), "--out", str(tmp_path / "out")]
    refused([str(street_clip), *arguments], message)


@pytest.mark.parametrize("case", BAD_NUMBERS)
def test_bad_number(case: str, street_clip: Path, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    arguments, message = BAD_NUMBERS[case]
    refused([str(street_clip), *arguments, "--out", str(tmp_path / "out")], message)


def test_other_grid(tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    import torch

    from worldloom.geometry import OCC3D_CLASSES, Occupancy, VoxelGrid
    from worldloom.geometry.io import save_clip

    grid = VoxelGrid((-50.0, -50.0, -5.0), 0.5, (20, 20, 16))
    labels = torch.full((5, 20, 20, 16), 17, dtype=torch.uint8)
    clip = Occupancy(labels, labels > 0, torch.eye(4).repeat(5, 1, 1), grid, OCC3D_CLASSES, 0.5)
    save_clip(tmp_path / "clip.npz", clip)
    message = r"expected the grid and classes of Occ3D, \(200, 200, 16\).*got \(20, 20, 16\)"
    refused([str(tmp_path / "clip.npz"), "--out", str(tmp_path / "out")], message)


@pytest.mark.parametrize("option", [[], ["--force"], ["--resume"]])
def test_output_that_is_not_ours(
    option: list[str], street_clip: Path, tmp_path: Path, refused: Callable[[list[str], str], None]
) -> None:
    """Somebody's folder is refused, with --force too."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("the only copy")
    refused(
        [str(street_clip), "--out", str(tmp_path / "out"), "--horizon", "2", "--path", "stop", *option], "output .*out"
    )


def test_output_that_is_a_file(street_clip: Path, tmp_path: Path, refused: Callable[[list[str], str], None]) -> None:
    (tmp_path / "out").write_text("a file")
    arguments = ["--out", str(tmp_path / "out"), "--horizon", "2", "--path", "stop", "--force"]
    refused([str(street_clip), *arguments], "output must be a folder")


@pytest.mark.parametrize("place", ["file", "deep"])
def test_unwritable_output(
    place: str, street_clip: Path, tmp_path: Path, refused: Callable[[list[str], str], None]
) -> None:
    """Below a file no folder can be made, for root neither."""
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / ("out" if place == "file" else "a/b/out")
    refused([str(street_clip), "--out", str(out), "--horizon", "2", "--path", "stop"], "output .* cannot be written")


def test_real_command_on_bad_input(tmp_path: Path) -> None:
    """The same through a process of its own: exit code and stderr as a shell sees them."""
    clip = truncated(tmp_path / "clip.npz")
    result = subprocess.run(
        [sys.executable, "-m", "worldloom.apps.cli", "drive", str(clip), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("worldloom: error: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.npz"]


def finished_stages(work: Path) -> dict[str, float]:
    """Seconds of each stage that an unfinished run has behind it."""
    stages = work / ".stages.json"
    return json.loads(stages.read_text())["seconds"] if stages.exists() else {}


def test_interrupt_leaves_nothing_and_resume_completes(street_clip: Path, tmp_path: Path) -> None:
    """Ctrl-C once the forecast stands: exit code 130, no output; --resume keeps the forecast and draws it."""
    out, work = tmp_path / "out", tmp_path / ".out.partial"
    options = ["--out", str(out), "--past", "3", "--horizon", "3", "--path", "log"]
    command = [sys.executable, "-m", "worldloom.apps.cli", "drive", str(street_clip), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not finished_stages(work) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted; finished stages are kept, go on with --resume" in err
    assert "Traceback" not in err
    assert not out.exists()
    kept = (work / "future.npz").stat().st_mtime_ns
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, env=os.environ)
    assert again.returncode == 0, again.stderr
    assert (out / "future.npz").stat().st_mtime_ns == kept
    assert (out / "perspective.mp4").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
