"""`worldloom batch` from the command line: exit codes, bad input in one line, and one tree however it was made."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.apps.batch.cheap import contents
from worldloom.apps import cli
from worldloom.apps.batch.command import RunOptions, resume_batch, run_batch
from worldloom.apps.batch.folder import Batch, open_batch
from worldloom.apps.batch.identity import code_version
from worldloom.apps.batch.manifest import read_manifest, save_manifest
from worldloom.apps.batch.results import results_of
from worldloom.apps.batch.shard import SUCCESS, all_shards, shard_folder
from worldloom.apps.batch.store import LocalStore, ObjectStore, open_store
from worldloom.errors import InputError

ROOT = Path(__file__).parents[3]
INLINE = RunOptions(backend="inline")


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code of `worldloom batch WORDS`, and what it said on stderr."""
    monkeypatch.setattr(sys, "argv", ["worldloom", "batch", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_make_the_bytes_that_one_makes(tmp_path: Path, manifest: Path, made: Batch) -> None:
    assert run_batch(manifest, str(tmp_path / "two"), RunOptions(num_workers=2)) == 0
    assert contents(tmp_path / "two") == contents(Path(made.store.address))


def test_a_limit_and_resume_end_in_the_same_tree(
    tmp_path: Path, manifest: Path, made: Batch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "batch"
    code, said = call(monkeypatch, capsys, "run", manifest, "--out", out, "--backend", "inline", "--limit", 3)
    assert code == 0
    assert "3 made" in said
    assert "5 left for later" in said
    code, said = call(monkeypatch, capsys, "resume", out, "--dry-run")
    assert code == 0
    assert "would make 5 scenarios of 8" in said
    assert len(all_shards(LocalStore(out))) == 3
    code, said = call(monkeypatch, capsys, "resume", out, "--backend", "inline")
    assert code == 0
    assert "5 made" in said
    assert "3 there before" in said
    assert contents(out) == contents(Path(made.store.address))
    code, said = call(monkeypatch, capsys, "resume", out, "--backend", "inline")
    assert code == 3
    assert "nothing to do" in said
    assert call(monkeypatch, capsys, "resume", out, "--dry-run")[0] == 3


def test_a_dry_run_makes_nothing(tmp_path: Path, manifest: Path, monkeypatch, capsys) -> None:
    code, said = call(monkeypatch, capsys, "run", manifest, "--out", tmp_path / "b", "--dry-run", "--limit", 5)
    assert code == 0
    assert "would make 5 scenarios" in said
    assert not list(tmp_path.iterdir())


def test_poison_ends_in_quarantine_and_exit_code_1(tmp_path: Path, manifest: Path, monkeypatch, capsys) -> None:
    specs = list(read_manifest(manifest))[:2]
    poison = json.loads(specs[0].line())
    poison["source"]["sha256"] = "0" * 64
    path = tmp_path / "m.jsonl"
    path.write_text(f"{specs[1].line()}\n{json.dumps(poison)}\n")
    out = tmp_path / "b"
    code, said = call(monkeypatch, capsys, "run", path, "--out", out, "--backend", "inline", "--retries", 1)
    assert code == 1
    assert "1 made" in said
    assert "1 quarantined" in said
    assert "attempt 2: InputError: sample:street: expected the clip that was planned with" in said
    (file,) = (out / "quarantine").iterdir()
    assert "Traceback" in json.loads(file.read_text())["failures"][1]["traceback"]
    code, said = call(monkeypatch, capsys, "resume", out, "--backend", "inline")
    assert code == 1
    assert "1 in quarantine before" in said
    assert call(monkeypatch, capsys, "verify", out)[0] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.jsonl", "--out", "b"], "none.jsonl: expected a manifest"),
        (["run", "m.jsonl", "--out", "full"], "expected a new or empty folder, got one that holds letter"),
        (["run", "m.jsonl", "--out", "file"], "expected a folder, got the file file"),
        (["run", "m.jsonl", "--out", "/proc/no/b"], "/proc/no/b: expected a folder to write to, got No such file"),
        (["run", "m.jsonl", "--out", "web://x"], "an address that fsspec knows"),
        (["run", "m.jsonl", "--out", "memory://x"], "expected --backend inline for it"),
        (["run", "m.jsonl", "--out", "b", "--backend", "cloud"], "--backend local, ray, slurm, inline, got 'cloud'"),
        (["run", "m.jsonl", "--out", "b", "--num-workers", "0"], "--num-workers from 1 to 4096, got 0"),
        (["run", "m.jsonl", "--out", "b", "--limit", "0"], "--limit of 1 or more, got 0"),
        (["run", "m.jsonl", "--out", "b", "--retries", "-1"], "--retries, got -1"),
        (["run", "m.jsonl", "--out", "b", "--timeout", "0"], "--timeout above 0 s"),
        (["run", "m.jsonl", "--out", "b", "--chunk", "0"], "--chunk of 1"),
        (["run", "other.jsonl", "--out", "b"], "no weights called 'nowhere'"),
        (["resume", "nowhere"], "expected a batch (a folder with batch.json), got none"),
        (["resume", "full"], "expected a batch"),
        (["verify", "nowhere"], "expected a batch"),
        (["verify", "nowhere", "--remake", "-1"], "--remake of 0 or more"),
        (["filter", "nowhere", "--out", "f.jsonl"], "something to choose by"),
        (["filter", "nowhere", "--out", "f.jsonl", "--max-risk", "2"], "--max-risk from 0 to 1, got 2"),
        (["filter", "nowhere", "--out", "f.jsonl", "--max-risk", "nan"], "--max-risk from 0 to 1, got nan"),
        (["filter", "nowhere", "--out", "f.jsonl", "--collided", "--unknown", "x"], "--unknown drop or keep"),
        (["filter", "nowhere", "--out", "f.jsonl", "--collided"], "expected a batch"),
        (["export", "nowhere", "--out", "e"], "expected a batch"),
        (["export", "nowhere", "--out", "e", "--to", "gltf"], "--to nuscenes, scenarionet, openscenario, video"),
        (["export", "nowhere", "--out", "e", "--limit", "0"], "--limit of 1 or more"),
        (["report", "nowhere", "--out", "r.html"], "expected a batch"),
        (["report", "nowhere", "--out", "r.pdf"], "--out to end in .html"),
        (["report", "nowhere", "--out", "r.html", "--pictures", "999"], "0 to 300 --pictures"),
        (["plan", "--out", "p.jsonl"], "expected --clip, --occ3d, --towns or --sweep to make scenarios of"),
        (["plan", "--out", "p.jsonl", "--sweep", "none.yaml"], "none.yaml: expected a sweep"),
        (["plan", "--out", "p.jsonl", "--clip", "sample:street", "--speed", "fast"], "expected a number, got 'fast'"),
        (["plan", "--out", "no/p.jsonl", "--clip", "sample:street"], "the folder no does not exist"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, manifest: Path, monkeypatch, capsys, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(manifest, "m.jsonl")
    Path("other.jsonl").write_text(manifest.read_text().replace("copy-warp", "nowhere"))
    Path("full").mkdir()
    Path("full/letter").write_text("mine")
    Path("file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    code, said = call(monkeypatch, capsys, *words)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
    assert sum(line.startswith("worldloom: error") for line in said.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_other_code_or_weights_are_another_batch(tmp_path: Path, made: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "batch"
    shutil.copytree(made.store.address, out)
    header = json.loads((out / "batch.json").read_text())
    assert header["code"] == code_version()
    for key, value, message in (
        ("code", "0.0.1+abc", "was begun with code 0.0.1"),
        ("weights", {"copy-warp": "f" * 64}, "other weights called 'copy-warp'"),
    ):
        (out / "batch.json").write_text(json.dumps({**header, key: value}))
        with pytest.raises(InputError, match=message):
            resume_batch(str(out), INLINE)
    for text in ("", "[]", "{}", json.dumps({**header, "format": 9}), json.dumps({**header, "code": 7})):
        (out / "batch.json").write_text(text)
        with pytest.raises(InputError, match=r"batch\.json"):
            open_batch(LocalStore(out))


def test_a_manifest_that_was_changed_is_refused(tmp_path: Path, made: Batch) -> None:
    out = tmp_path / "batch"
    shutil.copytree(made.store.address, out)
    lines = (out / "manifest.jsonl").read_text().splitlines()
    (out / "manifest.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(InputError, match="the manifest that the batch was begun with"):
        open_batch(LocalStore(out))


def test_a_run_that_was_killed_before_its_header_is_begun_again(tmp_path: Path, manifest: Path) -> None:
    out = tmp_path / "batch"
    out.mkdir()
    shutil.copy(manifest, out / "manifest.jsonl")
    (out / ".staging").mkdir()
    (out / ".staging/half").write_text("x")
    assert run_batch(manifest, str(out), RunOptions(backend="inline", limit=1)) == 0
    with pytest.raises(InputError, match="holds a batch; go on with: worldloom batch resume"):
        run_batch(manifest, str(out), INLINE)


def test_verify_finds_every_damage(tmp_path: Path, made: Batch, monkeypatch, capsys) -> None:
    code, said = call(monkeypatch, capsys, "verify", made.store.address, "--remake", 2)
    assert code == 0
    assert "8 whole; 2 made again with the same bytes; 0 faults; 32 files" in said
    shards = all_shards(made.store)

    def damaged(name: str) -> tuple[Path, Path]:
        out = tmp_path / name
        shutil.copytree(made.store.address, out)
        return out, out / shard_folder(shards[0])

    out, shard = damaged("flipped")
    content = bytearray((shard / "future.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (shard / "future.npz").write_bytes(content)
    code, said = call(monkeypatch, capsys, "verify", out)
    assert code == 1
    assert "future.npz is not as it was written" in said
    assert "7 whole; 1 faults" in said

    out, shard = damaged("lost")
    shutil.rmtree(shard)
    code, said = call(monkeypatch, capsys, "verify", out)
    assert code == 1
    assert "7 whole; 1 missing; 0 faults" in said

    out, shard = damaged("doubled")
    shutil.copytree(shard, shard.with_name("f" * 32))
    code, said = call(monkeypatch, capsys, "verify", out)
    assert code == 1
    assert "a shard that is not of this manifest, code and weights" in said

    out, shard = damaged("stranger")
    (shard / "note.txt").write_text("mine")
    assert "a file that does not belong there: note.txt" in call(monkeypatch, capsys, "verify", out)[1]

    out, shard = damaged("unmarked")
    (shard / SUCCESS).unlink()
    assert "7 whole; 1 missing" in call(monkeypatch, capsys, "verify", out)[1]

    out, shard = damaged("forged")
    success = json.loads((shard / SUCCESS).read_text())
    (shard / SUCCESS).write_text(json.dumps({**success, "code": "another"}))
    assert "expected code" in call(monkeypatch, capsys, "verify", out)[1]

    out, shard = damaged("other scores")
    scores = (shard / "scores.json").read_bytes().replace(b"0", b"1", 1)
    success = json.loads((shard / SUCCESS).read_text())
    import hashlib

    success["files"]["scores.json"]["sha256"] = hashlib.sha256(scores).hexdigest()
    (shard / "scores.json").write_bytes(scores)
    (shard / SUCCESS).write_text(json.dumps(success))
    code, said = call(monkeypatch, capsys, "verify", out)
    assert code == 0  # the hash was forged with it
    code, said = call(monkeypatch, capsys, "verify", out, "--remake", 8)
    assert code == 1
    assert "made again, scores.json came out otherwise" in said


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_an_object_store_holds_the_same_batch(tmp_path: Path, manifest: Path, made: Batch, scheme: str) -> None:
    address = "memory://worldloom-test/batch" if scheme == "memory" else f"file://{tmp_path}/stored"
    store = open_store(address, str(tmp_path / "scratch"))
    assert isinstance(store, ObjectStore)
    options = RunOptions(backend="inline", scratch=str(tmp_path / "scratch"))
    assert run_batch(manifest, address, RunOptions(backend="inline", limit=2, scratch=options.scratch)) == 0
    broken = all_shards(store)[0]
    store.remove(f"{shard_folder(broken)}/{SUCCESS}")  # as where an upload was cut off
    assert resume_batch(address, options) == 0
    batch = open_batch(store)
    assert [result.shard for result in results_of(batch)] == [result.shard for result in results_of(made)]
    for shard in all_shards(made.store):
        for name, size in made.store.sizes(shard_folder(shard)).items():
            content = store.read(f"{shard_folder(shard)}/{name}")
            assert content == made.store.read(f"{shard_folder(shard)}/{name}")
            assert content is not None
            assert len(content) == size
    assert len(all_shards(store)) == 8
    assert len([entry for entry in batch.ledger.entries() if "seconds" in entry]) == 9
    assert not list((tmp_path / "scratch").iterdir())
    with pytest.raises(InputError, match="holds a batch"):
        run_batch(manifest, address, options)


def test_an_address_that_cannot_be(tmp_path: Path, manifest: Path) -> None:
    with pytest.raises(InputError, match="an address that fsspec knows"):
        open_store("web://bucket/batch")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_a_tree_that_goes_on(
    tmp_path: Path, manifest: Path, made: Batch, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "batch"
    command = ["batch", "run", str(manifest), "--out", str(out), "--num-workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "worldloom.apps.cli", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not all_shards(LocalStore(out)):
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)  # it returns when nobody holds the pipe any more, workers neither
    assert process.returncode == code
    assert "go on with: worldloom batch resume" in said
    assert "Traceback" not in said
    assert not list((out / ".staging").glob("*"))
    assert resume_batch(str(out), INLINE) in (0, 3)
    assert contents(out) == contents(Path(made.store.address))


def test_filter_writes_the_lines_of_those_that_are_chosen(
    tmp_path: Path, manifest: Path, made: Batch, monkeypatch, capsys
) -> None:
    address, out = made.store.address, tmp_path / "chosen.jsonl"
    code, said = call(monkeypatch, capsys, "filter", address, "--out", out, "--no-collided")
    assert code == 0
    chosen = out.read_text().splitlines()
    expected = [result for result in results_of(made) if result.collided is False]
    assert chosen == [result.spec.line() for result in expected]
    assert 0 < len(chosen) < 8
    assert f"{8 - len(chosen)} collided" in said
    assert [result.shard for result in results_of(made, out)] == [result.shard for result in expected]
    # What the floor does not know: dropped, or kept on request.
    code, said = call(monkeypatch, capsys, "filter", address, "--out", tmp_path / "none.jsonl", "--max-risk", 0.5)
    assert code == 3
    assert "8 risk not known" in said
    assert not (tmp_path / "none.jsonl").exists()
    code, _ = call(monkeypatch, capsys, "filter", address, "--out", out, "--max-risk", 0.5, "--unknown", "keep")
    assert code == 0
    assert out.read_bytes() == manifest.read_bytes()
    for name, option in (("physics", "--min-physics"), ("PDMS-occ", "--min-pdms")):
        known = sorted(value for result in results_of(made) if (value := result.number(name)) is not None)
        if known:
            middle = known[len(known) // 2]
            call(monkeypatch, capsys, "filter", address, "--out", out, option, middle)
            wanted = [r.spec.line() for r in results_of(made) if (v := r.number(name)) is not None and v >= middle]
            assert out.read_text().splitlines() == wanted


def test_a_choice_of_another_batch_is_refused(tmp_path: Path, made: Batch, monkeypatch, capsys) -> None:
    from dataclasses import replace

    other = [replace(spec, seed=77) for spec in made.specs()]
    save_manifest(tmp_path / "other.jsonl", other)
    words = ["report", made.store.address, "--out", tmp_path / "r.html", "--only", tmp_path / "other.jsonl"]
    code, said = call(monkeypatch, capsys, *words)
    assert code == 2
    assert "got 8 that are not" in said


def test_a_command_that_is_told_can_be_pasted(tmp_path: Path, made: Batch, manifest: Path) -> None:
    out = tmp_path / "Straße mit Lücke"
    shutil.copytree(made.store.address, out)
    with pytest.raises(InputError, match="go on with") as refusal:
        run_batch(manifest, str(out), INLINE)
    assert shlex.split(str(refusal.value).split("go on with: ")[1]) == ["worldloom", "batch", "resume", str(out)]
