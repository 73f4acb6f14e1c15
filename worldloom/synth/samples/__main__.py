"""`python -m worldloom.synth.samples OUT`: write the bundled samples into the folder OUT (about ten minutes)."""

import argparse
from pathlib import Path

import torch

from worldloom.synth.samples.make import write_room, write_street

parser = argparse.ArgumentParser(
    prog="python -m worldloom.synth.samples", description="Make the bundled samples again."
)
parser.add_argument("out", type=Path, help="folder to write to; it is made if absent")
parser.add_argument("--height", type=int, default=1024, help="rows of the panorama")
arguments = parser.parse_args()
torch.set_num_threads(1)  # short tensors: threads would only wait for each other
arguments.out.mkdir(parents=True, exist_ok=True)
write_street(arguments.out)
write_room(arguments.out, arguments.height)
