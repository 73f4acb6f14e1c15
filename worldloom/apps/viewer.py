"""One viser server that shows a splat scene, or an occupancy future with a time slider.

A browser with a GPU draws the splats itself. For others the server renders what the browser's camera sees with our
rasterizer and sends it as the background image: `server_render` switches.
"""

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from worldloom.apps.run_folder import REPORT
from worldloom.errors import InputError, require
from worldloom.geometry import Camera, Gaussians, Occupancy, compose, invert, rotmat_from_quat
from worldloom.geometry.gaussians import SH_C0
from worldloom.geometry.io import load_clip, load_gaussians
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.views import numbers
from worldloom.render import gaussians_from_occupancy, render

BACKGROUND = (1.0, 1.0, 1.0)  # as viser's own page
MOVING_HEIGHT, RESTING_HEIGHT = 216, 480  # pixels: quick while the camera moves, sharp when it stands


@dataclass(frozen=True)
class StartView:
    """Where a visitor stands at first, and the point that the mouse turns about."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    fov: float | None = None  # vertical, radians


class Viewer:
    """What one person looks at. Splats live in world coordinates, z up."""

    def __init__(self, host: str = "127.0.0.1", server_render: bool = False) -> None:
        viser = require("viser", "apps", "the viewer")
        self._server = viser.ViserServer(host=host, port=_free_port(host), verbose=False)
        self._server.gui.configure_theme(
            control_layout="floating", control_width="small", show_logo=False, show_share_button=False
        )
        self._server.gui.add_markdown("Drag to look, **W A S D** to move, **Q E** to sink and rise.")
        self._server.scene.set_up_direction("+z")
        self._frames: list[Gaussians] = []
        self._node = None
        self._slider = None
        self._lock = threading.Lock()
        self._server_render = server_render
        self._streams: dict[int, _Stream] = {}
        self._server.on_client_connect(self._connect)
        self._server.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        return self._server.get_port()

    def stop(self) -> None:
        """Close the server; the browser's frame goes blank."""
        for stream in list(self._streams.values()):
            stream.stop()
        self._server.stop()

    def show_result(self, folder: Path) -> None:
        """Show what `worldloom scene`, `recon` or `drive` left in `folder`."""
        if (folder / "scene.ply").is_file():
            self.show_scene(load_gaussians(folder / "scene.ply"), start_view_of(folder))
        elif (folder / "future.npz").is_file():
            self.show_future(load_clip(folder / "future.npz"))
        else:
            raise InputError(
                f"expected a result of worldloom scene, recon or drive (scene.ply or future.npz), got {folder}"
            )

    def show_scene(self, gaussians: Gaussians, start: StartView | None = None) -> None:
        """Show one scene, from where its report says, or else from the place of the panorama camera."""
        # viser's mouse orbits the target; one close to the eye makes it feel like turning the head.
        start = start or StartView((0.0, 0.0, 0.0), (0.1, 0.0, 0.0))
        self._server.scene.set_up_direction(start.up)
        self._server.initial_camera.up = start.up
        if start.fov is not None:
            self._server.initial_camera.fov = start.fov
        for client in self._server.get_clients().values():
            client.camera.up_direction = start.up
            if start.fov is not None:
                client.camera.fov = start.fov
        self._show([gaussians], eye=start.eye, target=start.target)

    def show_future(self, occupancy: Occupancy) -> None:
        """Show a clip (t,) frame by frame, each at its place in the world, with a time slider."""
        # In the first ego frame, so that the starting camera stands behind the car whatever the world's origin is.
        start_from_world = invert(occupancy.world_from_ego[0])
        frames = [
            gaussians_from_occupancy(labels, occupancy.grid, start_from_world @ world_from_ego)
            for labels, world_from_ego in zip(occupancy.labels, occupancy.world_from_ego, strict=True)
        ]
        self._show(frames, eye=(-16.0, 0.0, 16.0), target=(10.0, 0.0, 0.0), dt=occupancy.dt)

    def show_moment(self, gaussians: Gaussians) -> None:
        """Show a world that changes, around a car at the origin; the first call places the camera behind it."""
        if not self._frames:
            self._show([gaussians], eye=(-16.0, 0.0, 16.0), target=(10.0, 0.0, 0.0))
            return
        with self._lock:
            self._frames = [gaussians]
        self._draw()

    def look_from(self, eye: tuple[float, float, float], yaw: float) -> None:
        """Put every visitor's camera there, level, looking along `yaw`."""
        target = (eye[0] + 0.1 * math.cos(yaw), eye[1] + 0.1 * math.sin(yaw), eye[2])
        self._server.initial_camera.position, self._server.initial_camera.look_at = eye, target
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = eye, target

    def _show(
        self,
        frames: list[Gaussians],
        eye: tuple[float, float, float],
        target: tuple[float, float, float],
        dt: float = 0.0,
    ) -> None:
        with self._lock:
            self._frames = frames
            if self._slider is not None:
                self._slider.remove()
                self._slider = None
            if len(frames) > 1:
                self._slider = self._server.gui.add_slider(
                    "Frame", min=0, max=len(frames) - 1, step=1, initial_value=0, hint=f"{dt:g} s apart"
                )
                self._slider.on_update(lambda _: self._draw())
        self._server.initial_camera.position = eye
        self._server.initial_camera.look_at = target
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = eye, target
        self._draw()

    def frame(self) -> Gaussians | None:
        """What is on show now."""
        frames, slider = self._frames, self._slider  # another thread may be changing them
        if not frames:
            return None
        return frames[min(int(slider.value), len(frames) - 1) if slider is not None else 0]

    @property
    def server_render(self) -> bool:
        """Whether the server draws the frames; else the browser draws the splats."""
        return self._server_render

    @server_render.setter
    def server_render(self, wanted: bool) -> None:
        self._server_render = wanted
        self._draw()

    def _draw(self) -> None:
        with self._lock:
            gaussians = self.frame()
            if self._node is not None:
                self._node.remove()
                self._node = None
            if gaussians is None:
                return
            if not self.server_render:
                self._server.scene.set_background_image(None)
                colours = (0.5 + SH_C0 * gaussians.sh[:, 0]).clamp(0, 1)  # viser draws degree 0 only
                self._node = self._server.scene.add_gaussian_splats(
                    "/splats",
                    centers=gaussians.means.numpy(),
                    covariances=_covariances(gaussians).numpy(),
                    rgbs=colours.numpy(),
                    opacities=gaussians.opacities[:, None].numpy(),
                )
        for stream in list(self._streams.values()):
            stream.request()

    def _connect(self, client) -> None:
        self._streams[client.client_id] = _Stream(self, client)

    def _disconnect(self, client) -> None:
        stream = self._streams.pop(client.client_id, None)
        if stream is not None:
            stream.stop()


class _Stream:
    """Renders for one browser: the newest camera only, small while it moves and larger once it rests."""

    def __init__(self, viewer: Viewer, client) -> None:
        self._viewer, self._client = viewer, client
        self._wanted = threading.Event()
        self._stopped = False
        client.camera.on_update(lambda _: self.request())
        threading.Thread(target=self._run, daemon=True).start()

    def request(self) -> None:
        self._wanted.set()

    def stop(self) -> None:
        self._stopped = True
        self._wanted.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wanted.wait()
            self._wanted.clear()
            height = MOVING_HEIGHT
            while not self._stopped and self._viewer.server_render:
                gaussians = self._viewer.frame()
                if gaussians is not None:
                    self._send(gaussians, height)
                if height == RESTING_HEIGHT or self._wanted.wait(0.15):
                    break
                height = RESTING_HEIGHT

    def _send(self, gaussians: Gaussians, height: int) -> None:
        camera = camera_from_viser(self._client.camera, height)
        with torch.no_grad():
            image = render(gaussians, camera, background=torch.tensor(BACKGROUND)).rgb
        pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        self._client.scene.set_background_image(pixels, format="jpeg", jpeg_quality=85)


def start_view_of(folder: Path) -> StartView | None:
    """The start_view of a result's report.json; None where it has none.

    Raises:
        InputError: it has one that is no view.
    """
    path = folder / REPORT
    told = load_json(path, dict).get("start_view") if path.is_file() else None
    if told is None:
        return None
    where = f"{path}: start_view"
    if not isinstance(told, dict):
        raise InputError(f"{where}: expected an object, got {type(told).__name__}")
    pose = numbers(told.get("world_from_cam"), (4, 4), f"{where}, world_from_cam")
    distance, fov = (numbers(told.get(key), (), f"{where}, {key}").item() for key in ("distance", "fov_vertical"))
    up = numbers(told.get("up"), (3,), f"{where}, up")
    if not (distance > 0 and 0 < fov < math.pi and up.norm() > 0):
        raise InputError(f"{where}: expected a distance, a field of view and up, got {distance}, {fov}, {up.tolist()}")
    eye, target = pose[:3, 3], pose[:3, 3] + distance * pose[:3, 2]
    return StartView(_triple(eye), _triple(target), _triple(up), fov)


def _triple(values: Tensor) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def camera_from_viser(handle, height: int) -> Camera:
    """Our camera for a viser one: OpenCV axes too, `fov` is vertical (radians), aspect is width / height."""
    width = max(16, round(height * float(handle.aspect)))
    focal = 0.5 * height / torch.tan(torch.tensor(float(handle.fov) / 2)).item()
    rotation = rotmat_from_quat(torch.tensor(handle.wxyz, dtype=torch.float32))
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float32)
    return Camera(compose(rotation, torch.tensor(handle.position, dtype=torch.float32)), K, (height, width))


def _covariances(gaussians: Gaussians) -> Tensor:
    scaled = rotmat_from_quat(gaussians.quats) * gaussians.scales[:, None, :]
    return scaled @ scaled.mT


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
