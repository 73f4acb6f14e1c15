"""Whoever ends the program while a thread computes sees it end, and no more."""

import subprocess
import sys
from pathlib import Path

# Each thread is in torch, without Python's lock, when the script is over.
SCRIPT = """
import threading, torch
from worldloom.apps.walk import background
from worldloom.apps.walk.newest import Newest
begun = threading.Barrier(3)
def work(again):
    begun.wait()
    for _ in range(30):
        torch.rand(700, 700) @ torch.rand(700, 700)
newest = Newest(work)
newest.request()
background.start(work, None)
begun.wait()
print("over", flush=True)
"""


def test_a_program_ends_after_its_threads() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")
