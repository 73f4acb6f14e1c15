"""Videos: what goes in comes out, as other readers see it, and the same bytes each time."""

import struct
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import torch

from worldloom.errors import InputError
from worldloom.geometry.io import load_video, save_video

COLOURS = torch.tensor(
    [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5], [0.2, 0.7, 0.4]]
)  # one per frame


def flat(height: int = 32, width: int = 48) -> torch.Tensor:
    return COLOURS[:, :, None, None].expand(-1, 3, height, width)


def moving_square(num: int = 6) -> torch.Tensor:
    """A white square on grey whose left edge is at 8 + 4 t, its top edge at 6."""
    frames = torch.full((num, 3, 40, 64), 0.25)
    for t in range(num):
        frames[t, :, 6:16, 8 + 4 * t : 18 + 4 * t] = 1
    return frames


def test_colours_return(tmp_path: Path) -> None:
    """Pure colours within a few of 255 steps: a matrix or range mixed up costs more than 10."""
    save_video(tmp_path / "a.mp4", flat(), fps=10)
    assert (load_video(tmp_path / "a.mp4", 100) - flat()).abs().max() < 4 / 255


def test_places_and_order_return(tmp_path: Path) -> None:
    save_video(tmp_path / "a.mp4", moving_square(), fps=10)
    back = load_video(tmp_path / "a.mp4", 100)
    assert back.shape == (6, 3, 40, 64)
    assert ((back > 0.6) == (moving_square() > 0.6)).float().mean() > 0.999
    assert (load_video(tmp_path / "a.mp4", 2) == back[:2]).all()


@pytest.mark.parametrize("fps", [2, 10, 29.97, 30000 / 1001])
def test_another_reader_sees_a_web_video(tmp_path: Path, fps: float) -> None:
    save_video(tmp_path / "a.mp4", flat(), fps=fps)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate or 0) == pytest.approx(fps, rel=1e-4)
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx([i / fps for i in range(7)], abs=1e-3)
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # players can start before the end has come


def test_odd_sizes_grow_by_their_edge(tmp_path: Path) -> None:
    frames = moving_square()[:, :, :39, :63]
    save_video(tmp_path / "a.mp4", frames, fps=10)
    back = load_video(tmp_path / "a.mp4", 100)
    assert back.shape == (6, 3, 40, 64)
    assert (back[..., :39, :63] - frames).abs().mean() < 0.02
    assert (back[..., 39, :] - back[..., 38, :]).abs().max() < 0.05


def test_same_frames_same_bytes_and_a_generator(tmp_path: Path) -> None:
    def one_by_one() -> Iterator[torch.Tensor]:
        yield from moving_square()

    save_video(tmp_path / "a.mp4", moving_square(), fps=10)
    save_video(tmp_path / "b.mp4", one_by_one(), fps=10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_phones_turn_their_videos(tmp_path: Path, turn: int) -> None:
    """The track header of MP4 holds the matrix that turns frames clockwise by `turn` degrees for display."""
    save_video(tmp_path / "a.mp4", moving_square(), fps=10)
    data = (tmp_path / "a.mp4").read_bytes()
    one = 0x10000
    c, s = {0: (one, 0), 90: (0, one), 180: (-one, 0), 270: (0, -one)}[turn]
    upright = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 0x40000000)
    turned = struct.pack(">9i", c, s, 0, -s, c, 0, 0, 0, 0x40000000)
    track = data.index(upright, data.index(b"tkhd"))
    (tmp_path / "b.mp4").write_bytes(data[:track] + turned + data[track + 36 :])
    expected = torch.rot90(moving_square(), -turn // 90, (2, 3))
    assert (load_video(tmp_path / "b.mp4", 100) - expected).abs().mean() < 0.02


def test_a_failing_generator_leaves_nothing(tmp_path: Path) -> None:
    def breaks() -> Iterator[torch.Tensor]:
        yield moving_square()[0]
        raise KeyError

    with pytest.raises(KeyError):
        save_video(tmp_path / "a.mp4", breaks(), fps=10)
    assert list(tmp_path.iterdir()) == []


def test_bad_frames(tmp_path: Path) -> None:
    frames = moving_square()
    with pytest.raises(InputError, match="at frame 1"):
        save_video(tmp_path / "a.mp4", iter([frames[0], frames[0, :, :20]]), fps=10)
    with pytest.raises(InputError, match="got none"):
        save_video(tmp_path / "a.mp4", iter([]), fps=10)
    with pytest.raises(InputError, match="NaN"):
        save_video(tmp_path / "a.mp4", frames * torch.nan, fps=10)
    with pytest.raises(InputError, match="fps"):
        save_video(tmp_path / "a.mp4", frames, fps=0)
    with pytest.raises(InputError, match="ending in"):
        save_video(tmp_path / "a.avi", frames, fps=10)
    with pytest.raises(InputError, match="does not exist"):
        save_video(tmp_path / "no" / "a.mp4", frames, fps=10)
    assert list(tmp_path.iterdir()) == []


def test_bad_files(tmp_path: Path) -> None:
    save_video(tmp_path / "a.mp4", moving_square(), fps=10)
    data = (tmp_path / "a.mp4").read_bytes()
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n"
    files = {"empty": b"", "text": b"not a video\n" * 100, "head": data[:100], "cut": data[: len(data) * 2 // 3]}
    for name, content in {**files, "list": playlist, "concat": b"ffconcat version 1.0\nfile a.mp4\n"}.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}\.mp4: expected") as error:
            load_video(tmp_path / f"{name}.mp4", 100)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="there is none"):
        load_video(tmp_path / "nothing.mp4", 100)
    with pytest.raises(InputError, match="folder"):
        load_video(tmp_path, 100)
    with pytest.raises(InputError, match="got 40x64"):
        load_video(tmp_path / "a.mp4", 100, max_pixels=1000)
