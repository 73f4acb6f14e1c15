"""Videos: H.264 in MP4, as browsers play it."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from worldloom.errors import InputError, MissingExtra, require
from worldloom.geometry.io.atomic import atomic_path

BT709, TV_RANGE = 1, 1  # FFmpeg's numbers, written into the stream so that players decode the colours we encoded
MAX_PIXELS = 40_000_000  # of one frame; 8K has 33 million
# Playlists, too, pass for videos in FFmpeg, and would make it open other files and addresses.
CONTAINERS = {"format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi", "protocol_whitelist": "file"}


def save_video(
    path: str | Path,
    frames: Float[Tensor, "t 3 h w"] | Iterable[Float[Tensor, "3 h w"]],
    fps: int | float,
    crf: int = 18,
) -> None:
    """Write frames in [0, 1] as H.264, yuv420p (BT.709), index first. Same frames, same bytes.

    An odd height or width grows by one repeated row or column, for H.264 halves the colour resolution. Frames are taken
    one by one, so a generator needs the memory of one.

    Args:
        frames: all of one size.
        crf: x264's quality, 0 lossless to 51 worst.
    Raises:
        InputError: for another suffix than .mp4 or .mov, no frames, a change of size, values that are not finite, or a
            folder that does not exist.
    """
    av = _av()
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ".mov"):
        raise InputError(f"expected a name ending in .mp4 or .mov, got {path.name!r}")
    if not 0 < fps <= 1000:
        raise InputError(f"expected fps in (0, 1000], got {fps}")
    if "libx264" not in av.codecs_available:
        raise MissingExtra("writing video needs PyAV with libx264, as its wheels have; pip install av")
    stream, size = None, (0, 0)
    rate = Fraction(fps).limit_denominator(60_000)
    with (
        atomic_path(path) as temporary,
        # bitexact leaves the library versions out; one thread, because x264 cuts frames by their number
        av.open(str(temporary), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container,
    ):
        for i, frame in enumerate(frames):
            pixels = _pixels(frame, i, path)
            if stream is None:
                size = pixels.shape[:2]
                # x264's macroblock tree reads memory it has not written, where the width is not a multiple of 128: the
                # same frames then give other bytes from run to run.
                options = {"crf": str(crf), "preset": "medium", "x264-params": "mbtree=0"}
                stream = container.add_stream("libx264", rate=rate, options=options)
                stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
                stream.codec_context.thread_count = 1
                stream.codec_context.colorspace = BT709
                stream.codec_context.color_primaries = BT709
                stream.codec_context.color_trc = BT709
                stream.codec_context.color_range = TV_RANGE
            if pixels.shape[:2] != size:
                raise InputError(f"{path}: expected all frames to be {size}, got {pixels.shape[:2]} at frame {i}")
            rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            yuv = rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range=TV_RANGE)
            yuv.pts, yuv.time_base = i, 1 / rate
            container.mux(stream.encode(yuv))
        if stream is None:
            raise InputError(f"{path}: expected at least one frame, got none")
        container.mux(stream.encode())


def _pixels(frame: Float[Tensor, "3 h w"], i: int, path: Path) -> np.ndarray:
    """8-bit (h, w, 3), both even."""
    if not frame.isfinite().all():
        raise InputError(f"{path}: expected finite colours, got NaN or infinite ones in frame {i}")
    pixels = rearrange((frame.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu(), "c h w -> h w c").numpy()
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))


def load_video(path: str | Path, max_frames: int, max_pixels: int = MAX_PIXELS) -> Float[Tensor, "t 3 h w"]:
    """The first `max_frames` frames of a video as sRGB values in [0, 1], turned upright as its header says.

    Args:
        max_pixels: of one frame.
    Raises:
        InputError: if the file is absent, not a video, damaged, without frames, or larger than `max_pixels`.
    """
    if max_frames < 1:
        raise ValueError(f"max_frames must be at least 1, got {max_frames}")
    frames = list(islice(video_frames(path, max_pixels=max_pixels), max_frames))
    return rearrange(torch.stack(frames), "t h w c -> t c h w").float() / 255


def video_frames(path: str | Path, every: int = 1, max_pixels: int = MAX_PIXELS) -> Iterator[UInt8[Tensor, "h w 3"]]:
    """Frames one by one, upright, 8-bit sRGB; of each `every` frames the first.

    Raises:
        InputError: as `load_video`, when the frame at fault is asked for.
    """
    av = _av()
    path = Path(path)
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    if not path.is_file():
        raise InputError(f"{path}: expected a video file, {'got a folder' if path.is_dir() else 'but there is none'}")
    first: tuple[int, int] | None = None
    try:
        with av.open(str(path), options=CONTAINERS) as container:
            if not container.streams.video:
                raise InputError(f"{path}: expected a video, got a file without a video stream")
            stream = container.streams.video[0]
            if not 0 < stream.width * stream.height <= max_pixels:
                raise InputError(
                    f"{path}: expected frames of 1 to {max_pixels} pixels, got {stream.height}x{stream.width}"
                )
            for number, frame in enumerate(container.decode(stream)):
                if number % every:
                    continue
                rgb = torch.rot90(
                    torch.from_numpy(frame.to_ndarray(format="rgb24")), round(frame.rotation / 90), (0, 1)
                )
                size = (rgb.shape[0], rgb.shape[1])
                first = first or size
                if size != first:
                    raise InputError(
                        f"{path}: expected frames of one size, got {first[1]}x{first[0]} and {size[1]}x{size[0]}"
                    )
                yield rgb
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: expected a whole video, got damaged data ({error})") from error
    if first is None:
        raise InputError(f"{path}: expected a video, got a file without frames")


def num_frames(path: str | Path) -> int:
    """How many pictures a video holds, by its packets; nothing is decoded.

    Raises:
        InputError: as `load_video`.
    """
    av = _av()
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a video file, {'got a folder' if path.is_dir() else 'but there is none'}")
    try:
        with av.open(str(path), options=CONTAINERS) as container:
            if not container.streams.video:
                raise InputError(f"{path}: expected a video, got a file without a video stream")
            return sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: expected a whole video, got damaged data ({error})") from error


def _av() -> ModuleType:
    return require("av", "all", "reading and writing videos")
