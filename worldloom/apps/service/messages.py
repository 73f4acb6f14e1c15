"""What comes in over HTTP: each message with the fields that it must have, and no others."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Number = Annotated[float, Field(allow_inf_nan=False)]
Pair = tuple[Number, Number]
Pose = tuple[Number, Number, Number]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StartSession(_Message):
    """See `SessionService.start_session`."""

    start: Annotated[str, Field(max_length=500)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    observation: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=8)] = ["numbers"]
    timestamp_us: Annotated[int, Field(ge=0, lt=2**62)] = 0


class StepChunk(_Message):
    """See `SessionService.step_chunk`."""

    actions: list[Pair] | None = None
    trajectory: list[Pose] | None = None


class BranchChunks(_Message):
    """See `SessionService.branch`."""

    actions: list[list[Pair]] | None = None
    trajectories: list[list[Pose]] | None = None


class ForkSession(_Message):
    """See `SessionService.fork`."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
