"""The output folder is there whole or not at all; interrupted runs keep what they finished."""

import fcntl
import json
import os

import pytest

from worldloom.apps.run_folder import open_run
from worldloom.errors import InputError

REQUEST = {"command": "test", "seed": 1}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def make(out, request=REQUEST, stop_in=None, **options):
    """A run of two stages; `stop_in` maps a stage to the error it raises. Returns the stages that had to be done."""
    done = []
    with open_run(out, request, **options) as run:
        if run.already_finished:
            return ["already finished"]
        for name in ("first", "second"):
            with run.stage(name) as todo:
                if todo:
                    if stop_in and name in stop_in:
                        raise stop_in[name]
                    (run.folder / name).write_text(name)
                    done.append(name)
        run.warn("mind the step")
        run.report({"answer": 42})
    return done


def test_a_finished_run_is_one_folder_with_a_report(tmp_path):
    assert make(tmp_path / "a" / "out") == ["first", "second"]
    assert names(tmp_path / "a") == ["out"]
    assert names(tmp_path / "a" / "out") == ["first", "report.json", "second"]
    report = json.loads((tmp_path / "a" / "out" / "report.json").read_text())
    assert report["request"] == REQUEST
    assert report["answer"] == 42
    assert report["warnings"] == ["mind the step"]
    assert report["files"] == {"first": 5, "second": 6}
    assert list(report["seconds"]) == ["first", "second"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), RuntimeError("bug"), OSError(28, "No space left on device")])
def test_an_interrupted_run_keeps_finished_stages_and_resumes(tmp_path, stop):
    out = tmp_path / "out"
    with pytest.raises(type(stop)):
        make(out, stop_in={"second": stop})
    assert names(tmp_path) == [".out.partial"]
    assert make(out, resume=True) == ["second"]
    assert names(tmp_path) == ["out"]
    assert names(out) == ["first", "report.json", "second"]


def test_without_resume_an_interrupted_run_starts_anew(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", stop_in={"second": KeyboardInterrupt()})
    (tmp_path / ".out.partial" / "stray").write_text("left over")
    assert make(tmp_path / "out") == ["first", "second"]
    assert names(tmp_path / "out") == ["first", "report.json", "second"]


def test_resume_of_nothing_starts(tmp_path):
    assert make(tmp_path / "out", resume=True) == ["first", "second"]


def test_interrupted_before_any_stage_leaves_nothing_not_even_parents(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "a" / "b" / "out", stop_in={"first": KeyboardInterrupt()})
    assert names(tmp_path) == []


@pytest.mark.parametrize("stage", ["first", "second"])
def test_bad_input_leaves_nothing(tmp_path, stage):
    with pytest.raises(InputError):
        make(tmp_path / "a" / "out", stop_in={stage: InputError("expected x, got y")})
    assert names(tmp_path) == []


def test_parents_that_were_there_stay(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError):
        make(tmp_path / "a" / "b" / "out", stop_in={"first": InputError("expected x, got y")})
    assert names(tmp_path) == ["a"]


def test_resume_with_another_request_is_refused_and_harms_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", stop_in={"second": KeyboardInterrupt()})
    with pytest.raises(InputError, match="had another request"):
        make(tmp_path / "out", {"command": "test", "seed": 2}, resume=True)
    assert make(tmp_path / "out", resume=True) == ["second"]


def test_a_finished_run_is_left_as_it_is_by_resume(tmp_path):
    make(tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert make(tmp_path / "out", resume=True) == ["already finished"]
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="another request"):
        make(tmp_path / "out", {"command": "test", "seed": 2}, resume=True)


def test_an_existing_output_is_refused_and_force_replaces_it(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(InputError, match="exists; pass --force"):
        make(tmp_path / "out")
    assert make(tmp_path / "out", force=True) == ["first", "second"]
    assert names(tmp_path) == ["out"]


def test_force_keeps_what_somebody_put_into_a_result(tmp_path):
    make(tmp_path / "out")
    (tmp_path / "out" / "notes").mkdir()
    (tmp_path / "out" / "notes" / "mine.txt").write_text("years")
    with pytest.raises(InputError, match=r"holds notes/mine\.txt, which is not of the result"):
        make(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "notes" / "mine.txt").read_text() == "years"


def test_a_folder_of_somebody_else_at_the_hidden_name_is_kept(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "thesis.tex").write_text("years")
    with pytest.raises(InputError, match="not the work of an interrupted run"):
        make(tmp_path / "out")
    assert (tmp_path / ".out.partial" / "thesis.tex").read_text() == "years"


def test_force_keeps_the_old_result_until_the_new_one_is_whole(tmp_path):
    make(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", stop_in={"second": KeyboardInterrupt()}, force=True)
    assert names(tmp_path / "out") == ["first", "report.json", "second"]
    assert make(tmp_path / "out", force=True) == ["first", "second"]


def test_force_survives_what_a_kill_left_behind(tmp_path):
    make(tmp_path / "out")
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "first").write_text("from a run killed while it removed this")
    make(tmp_path / "out", force=True)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"made_by": "somebody"}'])
def test_force_never_deletes_what_is_not_ours(tmp_path, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years")
    if content is not None:
        (tmp_path / "out" / "report.json").write_text(content)
    with pytest.raises(InputError, match="will not delete it"):
        make(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years"
    assert names(tmp_path) == ["out"]


def test_two_runs_do_not_write_one_folder(tmp_path):
    work = tmp_path / ".out.partial"
    work.mkdir()
    lock = os.open(work / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (work / "first").write_text("of the other run")
        with pytest.raises(InputError, match="another run is writing"):
            make(tmp_path / "out")
        assert (work / "first").read_text() == "of the other run"
    finally:
        os.close(lock)


def test_a_run_that_ends_while_another_takes_its_lock_is_left_alone(tmp_path, monkeypatch):
    def end_before_locking(lock, mode):
        (tmp_path / ".out.partial").rename(tmp_path / "out")

    monkeypatch.setattr(fcntl, "flock", end_before_locking)
    with pytest.raises(InputError, match="another run is writing"):
        make(tmp_path / "out")
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_what_appears_during_a_run_is_not_deleted(tmp_path, force):
    out = tmp_path / "out"

    def disturbed():
        with open_run(out, REQUEST, force=force) as run:
            with run.stage("first"):
                (run.folder / "first").write_text("first")
            run.report({})
            out.mkdir()
            (out / "thesis.tex").write_text("years")

    with pytest.raises(InputError, match=r"The run is kept.*--resume"):
        disturbed()
    assert (out / "thesis.tex").read_text() == "years"
    out.rename(tmp_path / "elsewhere")
    assert make(out, resume=True) == ["second"]
    assert names(tmp_path) == ["elsewhere", "out"]


def test_a_name_too_long_leaves_no_parents(tmp_path):
    for out in (tmp_path / ("x" * 300), tmp_path / "a" / ("x" * 300) / "out", tmp_path / "a" / ("x" * 250)):
        with pytest.raises(InputError, match="File name too long"):
            make(out)
    assert names(tmp_path) == []


def test_a_run_must_end_with_a_report(tmp_path):
    with pytest.raises(AssertionError, match=r"run\.report"), open_run(tmp_path / "out", REQUEST):
        pass
    assert names(tmp_path) == []
