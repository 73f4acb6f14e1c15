"""What may be uploaded to be reconstructed is checked before a job is made."""

from pathlib import Path

import pytest

from worldloom.apps.page.photos_tab import MOST_FILES, _check
from worldloom.errors import InputError

PHOTOS = [Path("a.jpg"), Path("b.JPG")]


@pytest.mark.parametrize(
    ("sources", "minutes", "size", "message"),
    [
        ([], 2, 480, "two photos or more, or a video, got 0 photos"),
        (PHOTOS[:1], 2, 480, "got 1 photos"),
        ([Path("a.jpg"), Path("transforms.json")], 2, 480, "got 1 photos"),
        ([Path("a.mp4"), Path("b.mp4")], 2, 480, "one video alone, or photos, got 2 files with 2 videos"),
        ([*PHOTOS, Path("walk.mov")], 2, 480, "got 3 files with 1 videos"),
        ([Path("x/a.jpg"), Path("y/a.jpg")], 2, 480, "different names, got a.jpg twice"),
        ([Path(f"{i}.jpg") for i in range(MOST_FILES + 1)], 2, 480, f"at most {MOST_FILES} files"),
        (PHOTOS, -1, 480, "0 to 10 minutes"),
        (PHOTOS, float("nan"), 480, "0 to 10 minutes"),
        (PHOTOS, 2, 4000, "a size that is offered"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(sources: list[Path], minutes: float, size: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _check(sources, minutes, size)


def test_photos_and_a_video_are_taken() -> None:
    _check([*PHOTOS, Path("cameras.txt"), Path("transforms.json")], 0, 320)
    _check([Path("walk.MP4")], 10, 640)
