"""`python -m worldloom.synth.samples OUT`: write the bundled samples into the folder OUT (some minutes)."""

import argparse
from pathlib import Path

from worldloom.synth.samples.make import write_room, write_street

parser = argparse.ArgumentParser(
    prog="python -m worldloom.synth.samples", description="Make the bundled samples again."
)
parser.add_argument("out", type=Path, help="folder to write to; it is made if absent")
parser.add_argument("--height", type=int, default=1024, help="rows of the panorama")
arguments = parser.parse_args()
arguments.out.mkdir(parents=True, exist_ok=True)
write_street(arguments.out)
write_room(arguments.out, arguments.height)
