"""`worldloom synth`: bad input, full disks, killed workers and resumed runs."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from worldloom.apps import cli, synth
from worldloom.errors import InputError
from worldloom.synth.scene_files import STANDARD, WORLD_FILE, SceneOptions, world_name
from worldloom.synth.truth import Truth
from worldloom.synth.truth_file import save_truth


def write_wall(
    folder: Path, tell: Callable[[float, str], None], kind: str, seed: int, options: SceneOptions = STANDARD
) -> None:
    """A world that costs nothing: a grey wall as many metres away as the seed."""
    target = folder / world_name(kind, seed)
    (target / "panoramas").mkdir(parents=True, exist_ok=True)
    size = (8, 16)
    ones, nowhere = torch.ones(size), torch.zeros(size, dtype=torch.bool)
    rgb = torch.full((3, *size), 0.5)
    thing = torch.zeros(size, dtype=torch.long)
    truth = Truth(rgb, (seed + 1) * ones, None, rgb, rgb, ones, ones, thing, thing, nowhere)
    save_truth(target / "panoramas/000", truth)
    tell(0.5, "picture 1 of 1")
    content = {"kind": kind, "seed": seed, "things": [], "panoramas": [0], "num_triangles": 0}
    (target / WORLD_FILE).write_text(json.dumps(content))


def die(folder: Path, tell: Callable[[float, str], None], kind: str, seed: int, options: SceneOptions) -> None:
    """As where the system is out of memory, half-way through the second world."""
    if seed == 8:
        target = folder / world_name(kind, seed)
        target.mkdir()
        (target / ".000.0badc0de.npz").write_text("half a fi")
        os.kill(os.getpid(), signal.SIGKILL)
    write_wall(folder, tell, kind, seed, options)


def fill_disk(folder: Path, tell: Callable[[float, str], None], kind: str, seed: int, options: SceneOptions) -> None:
    if seed == 8:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "000.npz"))
    write_wall(folder, tell, kind, seed, options)


def write_wall_or_refuse(
    folder: Path, tell: Callable[[float, str], None], kind: str, seed: int, options: SceneOptions
) -> None:
    if seed == 8:
        raise InputError("expected another seed, got 8")
    write_wall(folder, tell, kind, seed, options)


def wait_after(stop: Callable[[], None], folder: Path, tell: Callable, kind: str, seed: int, options) -> None:
    """Half-way through the second world: what a signal did to the parent decides whether this worker ends."""
    if seed == 8:
        target = folder / world_name(kind, seed)
        target.mkdir()
        (target / ".000.0badc0de.npz").write_text("half a fi")
        time.sleep(1)  # until the end of the first world has been told
        stop()
        signal.pause()
    write_wall(folder, tell, kind, seed, options)


def ctrl_c(*arguments, **options) -> None:
    """As a terminal does: to the parent and to all workers."""
    wait_after(lambda: os.killpg(0, signal.SIGINT), *arguments, **options)


def terminate(*arguments, **options) -> None:
    wait_after(lambda: os.kill(os.getppid(), signal.SIGTERM), *arguments, **options)


def kill_parent(*arguments, **options) -> None:
    wait_after(lambda: os.kill(os.getppid(), signal.SIGKILL), *arguments, **options)


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code of `worldloom synth ARGUMENTS`, and what it said."""
    monkeypatch.setattr(sys, "argv", ["worldloom", "synth", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    code = stop.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().err


def contents(folder: Path) -> dict[str, bytes]:
    """All files but report.json, which tells the time it took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "report.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["castle", "--out", "x"], "a world of town, room, street, courtyard, field, clips, panoramas, got 'castle'"),
        (["room"], "--out"),
        (["room", "--out", "x", "--seed", "-1"], "got -1"),
        (["room", "--out", "x", "--num-worlds", "0"], "--num-worlds from 1 to 1000000, got 0"),
        (["room", "--out", "x", "--height", "1"], "panorama height from 2"),
        (["room", "--out", "x", "--width", "0"], "got 512 and 0x0"),
        (["room", "--out", "x", "--fov", "200"], "between 0 and 180 degrees, got 200"),
        (["room", "--out", "x", "--fov", "nan"], "got nan"),
        (["room", "--out", "x", "--samples", "-1"], "-1 samples"),
        (["room", "--out", "x", "--views", "-2"], "-2 views"),
        (["room", "--out", "x", "--height", "-4"], "got -4 and 512x384"),
        (["room", "--out", "x", "--views", "0", "--panoramas", "0", "--no-mesh"], "got none of them"),
        (["room", "--out", "x", "--num-workers", "0"], "--num-workers from 1"),
        (["town", "--out", "x", "--seed", "-1"], "got -1"),
        (["town", "--out", "x", "--minutes", "0"], "minutes above 0"),
        (["town", "--out", "x", "--minutes", "-1"], "minutes above 0"),
        (["town", "--out", "x", "--minutes", "nan"], "minutes above 0"),
        (["town", "--out", "x", "--minutes", "inf"], "minutes above 0"),
        (["town", "--out", "x", "--camera-width", "0"], "--camera-width from 16"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, monkeypatch, capsys, arguments: list[str], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_unknown_kind_from_python(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a world of room, street, courtyard, field, got 'castle'"):
        synth.make_worlds("castle", tmp_path / "x")


def test_what_is_there_stays(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/letter").write_text("mine")
    before = contents(tmp_path)
    for arguments, message in (
        (["file"], "got a file"),
        (["folder"], "is not a worldloom result"),
        (["folder", "--resume"], "is not a worldloom result"),
        (["folder", "--force"], "is not a worldloom result"),
        (["file/x"], "cannot be written"),
    ):
        code, said = run(monkeypatch, capsys, "room", "--out", tmp_path / arguments[0], *arguments[1:])
        assert code == 2
        assert message in said
    assert contents(tmp_path) == before


@pytest.mark.parametrize("broken", [die, fill_disk])
def test_resume_makes_the_same_bytes(tmp_path: Path, monkeypatch, capsys, broken: Callable) -> None:
    whole, out = tmp_path / "whole", tmp_path / "größer als eins"
    monkeypatch.setattr(synth, "write_world", write_wall)
    synth.make_worlds("room", whole, seed=7, num_worlds=3, num_workers=1)
    monkeypatch.setattr(synth, "write_world", broken)
    arguments = ["room", "--out", out, "--seed", 7, "--num-worlds", 3]
    code, said = run(monkeypatch, capsys, *arguments, "--num-workers", 1)
    assert code == 1
    assert "go on with --resume" in said
    assert ("SIGKILL" if broken is die else f"No space left on device: {out}\n") in said
    assert "Traceback" not in said
    assert not out.exists()
    monkeypatch.setattr(synth, "write_world", write_wall)
    code, said = run(monkeypatch, capsys, "room", "--out", out, "--seed", 6, "--num-worlds", 3, "--resume")
    assert code == 2
    assert "had another request" in said
    code, said = run(monkeypatch, capsys, *arguments, "--num-workers", 2, "--resume")
    assert code == 0
    assert contents(out) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "whole"]


@pytest.mark.slow
@pytest.mark.parametrize(("stop", "code"), [("ctrl_c", 130), ("terminate", 143), ("kill_parent", -signal.SIGKILL)])
def test_a_stopped_command_leaves_no_process_and_goes_on(tmp_path: Path, monkeypatch, stop: str, code: int) -> None:
    script = f"import test_synth as t; t.synth.write_world = t.{stop}; t.cli.main()"
    arguments = ["synth", "room", "--out", "x", "--seed", "7", "--num-worlds", "3", "--num-workers", "1"]
    scratch = tmp_path.with_name(f"{tmp_path.name} scratch")
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _, said = process.communicate(timeout=500)  # it returns when nobody holds the pipe any more, workers neither
    assert process.returncode == code
    assert "Traceback" not in said
    assert "room-000007 is made, 1 of 3" in said
    if stop != "kill_parent":
        assert ("terminated" if stop == "terminate" else "interrupted") + "; finished stages are kept" in said
        assert not list(scratch.glob("worldloom_*"))
    assert [path.name for path in tmp_path.iterdir()] == [".x.partial"]
    monkeypatch.setattr(synth, "write_world", write_wall)
    synth.make_worlds("room", tmp_path / "whole", seed=7, num_worlds=3, num_workers=2)
    synth.make_worlds("room", tmp_path / "x", seed=7, num_worlds=3, num_workers=2, resume=True)
    assert contents(tmp_path / "x") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        *(("town", "libsumo", "traffic"), ("town", "embreex", "traffic"), ("room", "embreex", "synth")),
        *(("clips", "libsumo", "traffic"), ("panoramas", "embreex", "synth")),
    ],
)
def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch, capsys, kind: str, module: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, said = run(monkeypatch, capsys, kind, "--out", tmp_path / "x")
    assert code == 2
    assert module in said
    assert f"pip install 'worldloom[{extra}]'" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_bad_input_found_late_throws_nothing_away(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(synth, "write_world", write_wall_or_refuse)
    with pytest.raises(RuntimeError, match="expected another seed"):
        synth.make_worlds("room", tmp_path / "x", seed=7, num_worlds=3, num_workers=1)
    assert (tmp_path / ".x.partial" / world_name("room", 7) / WORLD_FILE).is_file()


def test_without_pictures_there_is_no_preview(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(synth, "write_world", write_wall)
    options = SceneOptions(num_panoramas=0, num_views=0)
    made = synth.make_worlds("field", tmp_path / "x", options=options, num_workers=1)
    assert not (made.folder / "preview.png").exists()
    assert set(made.report["worlds"]) == {"field-000000"}


def test_fewer_places_than_panoramas_are_told(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(synth, "write_world", write_wall)
    arguments = ("--num-worlds", 2, "--panoramas", 50, "--num-workers", 1)
    code, said = run(monkeypatch, capsys, "room", "--out", tmp_path / "x", *arguments)
    assert code == 0
    told = "asked for 50 panoramas of each world; room-000000 has places for 1 and 1 more worlds have too few"
    assert told in said
    assert json.loads((tmp_path / "x/report.json").read_text())["warnings"] == [told]


@pytest.mark.parametrize("kind", ["clips", "panoramas"])
def test_folders_that_grow_are_not_files(tmp_path: Path, monkeypatch, capsys, kind: str) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file/b"):
        code, said = run(monkeypatch, capsys, kind, "--out", out)
        assert code == 2
        assert said == f"worldloom: error: output {out} cannot be written: {tmp_path / 'file'} is not a folder\n"
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize(
    ("kind", "first", "other", "told"),
    [
        ("clips", ["--scenes", 0], ["--scenes", 0, "--log-seconds", 9], "log_seconds 300.0, not 9.0"),
        ("panoramas", [], ["--each", 3, "--height", 64], "num_panoramas 4, not 3; height 256, not 64"),
    ],
)
def test_folders_that_grow_have_one_request(
    tmp_path: Path, monkeypatch, capsys, kind: str, first: list, other: list, told: str
) -> None:
    for module in ("worldloom.synth.dataset.training_clips", "worldloom.synth.panoramas.panorama_files"):
        monkeypatch.setattr(f"{module}.generate", lambda jobs, folder, num_workers: iter(()))
    out = tmp_path / "x"
    assert run(monkeypatch, capsys, kind, "--out", out, *first)[0] == 0
    assert run(monkeypatch, capsys, kind, "--out", out, *first)[0] == 0
    before = contents(out)
    code, said = run(monkeypatch, capsys, kind, "--out", out, *other)
    assert code == 2
    assert f"{out} had another request ({told})" in said
    assert contents(out) == before


def test_a_full_disk_names_the_folder_that_grows(tmp_path: Path, monkeypatch, capsys) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x"))

    monkeypatch.setattr("worldloom.synth.panoramas.panorama_files.generate", full)
    code, said = run(monkeypatch, capsys, "panoramas", "--out", tmp_path / "x")
    assert code == 1
    assert "the same command goes on" in said
    assert said.endswith(f"No space left on device: {tmp_path / 'x'}\n")
