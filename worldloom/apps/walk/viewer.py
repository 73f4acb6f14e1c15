"""One viser server that shows a splat scene, or an occupancy future with a time slider.

A browser with a GPU draws the splats itself. For others the server draws what the browser's camera sees with our
rasterizer and sends it as the background image: `server_render` switches.
"""

import contextlib
import io
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from worldloom.apps.walk.abreast import Abreast
from worldloom.apps.walk.passage import ARM
from worldloom.apps.walk.stream import Stream
from worldloom.apps.walk.visit import Visit
from worldloom.apps.walk.world import World
from worldloom.errors import InputError, require
from worldloom.geometry import Camera, Gaussians, Occupancy, invert, rotmat_from_quat
from worldloom.geometry.gaussians import SH_C0
from worldloom.geometry.io import load_clip
from worldloom.recon.distance_picture import distance_colours
from worldloom.render import gaussians_from_occupancy, render

FUTURE = "future.npz"  # the expected one of a drive
Frames = list[Gaussians] | Abreast
BACKGROUND = (1.0, 1.0, 1.0)  # as viser's own page
COLOUR, DEPTH, NORMALS = "colour", "depth", "normals"
DEPTH_ENDS = (0.3, 40.0)  # metres: darkest and lightest
_BEHIND_CAR = ((-16.0, 0.0, 16.0), (10.0, 0.0, 0.0))  # eye and target


class Viewer:
    """What one person looks at. Splats live in world coordinates, z up."""

    def __init__(self, host: str = "127.0.0.1", server_render: bool = False) -> None:
        viser = require("viser", "apps", "the viewer")
        with contextlib.redirect_stdout(io.StringIO()):  # its banner: the page says where to look
            self._server = viser.ViserServer(host=host, port=0, label="worldloom", verbose=False)
        self._server.gui.configure_theme(
            control_layout="floating", control_width="small", show_logo=False, show_share_button=False
        )
        self._server.gui.add_markdown("Drag to look, **W A S D** or arrows to move, **Q E** to sink and rise.")
        self._server.scene.set_up_direction("+z")
        self._frames: Frames = []
        self._look, self._asset = COLOUR, b""
        self._nodes: list[Any] = []
        self._names: list[Any] = []
        self._slider = None
        self._visit: Visit | None = None
        self._lock = threading.RLock()
        self._server_render = server_render
        self._streams: dict[int, Stream] = {}
        self._switch = self._server.gui.add_checkbox(
            "Drawn by the server", server_render, hint="For browsers without a GPU"
        )
        self._switch.on_update(lambda _: setattr(self, "server_render", self._switch.value))
        self._server.on_client_connect(self._connect)
        self._server.on_client_disconnect(self._disconnect)

    @property
    def port(self) -> int:
        return self._server.get_port()

    @property
    def server(self) -> Any:
        """The viser server, for controls."""
        return self._server

    def stop(self) -> None:
        """Close the server; the browser's frame goes blank."""
        if self._visit is not None:
            self._visit.stop()
        for stream in list(self._streams.values()):
            stream.stop()
        self._server.stop()

    def show_result(self, folder: Path, futures: Sequence[str] = (FUTURE,)) -> None:
        """Show what a run left in `folder`: a scene to walk in, or driving futures, the clips of these names.

        Raises:
            InputError: there is neither, or it is damaged.
        """
        if (folder / "scene.ply").is_file():
            self.show_world(World.open(folder))
        elif futures and all((folder / name).is_file() for name in futures):
            clips = [load_clip(folder / name) for name in futures]
            if len(clips) == 1:
                self.show_future(clips[0])
            else:
                self.show_abreast(clips)
        else:
            names = " ".join(("scene.ply or", *futures))
            raise InputError(f"expected a result of worldloom scene, recon or drive ({names}), got {folder}")

    def show_world(self, world: World) -> None:
        """Show a scene with all that a visit needs: ground under the feet, layers, a map, a camera."""
        start = world.start
        self._server.scene.set_up_direction(start.up)
        self._server.initial_camera.up = start.up
        if start.fov is not None:
            self._server.initial_camera.fov = start.fov
        for client in self._server.get_clients().values():
            client.camera.up_direction = start.up
            if start.fov is not None:
                client.camera.fov = start.fov
        self._show([world.gaussians], world.eye, world.first_target)
        self._visit = Visit(self, world)

    def show_scene(self, gaussians: Gaussians) -> None:
        """Show splats alone, from the world's origin."""
        self._show([gaussians], eye=(0.0, 0.0, 0.0), target=(ARM, 0.0, 0.0))

    def show_future(self, occupancy: Occupancy) -> None:
        """Show a clip (t,) frame by frame, each at its place in the world, with a time slider."""
        # In the first ego frame, so that the starting camera stands behind the car whatever the world's origin is.
        start_from_world = invert(occupancy.world_from_ego[0])
        frames = [
            gaussians_from_occupancy(labels, occupancy.grid, start_from_world @ world_from_ego)
            for labels, world_from_ego in zip(occupancy.labels, occupancy.world_from_ego, strict=True)
        ]
        self._show(frames, *_BEHIND_CAR, dt=occupancy.dt)

    def show_abreast(self, futures: Sequence[Occupancy]) -> None:
        """Show futures of one moment side by side, the first on the left, with one time slider for all.

        Raises:
            InputError: futures of different lengths.
        """
        abreast = Abreast(futures)
        far = 12.0 * len(futures)  # so that all are in view
        self._show(abreast, (-8.0 - far, 0.0, 14.0 + far), (12.0, 0.0, 0.0), dt=futures[0].dt)
        self._names = [
            self._server.scene.add_label(f"/names/{i}", f"future {i}", position=(0.0, y, 6.0))
            for i, y in enumerate(abreast.places, 1)
        ]

    def show_moment(self, gaussians: Gaussians) -> None:
        """Show a world that changes, around a car at the origin; the first call places the camera behind it."""
        if not self._frames:
            self._show([gaussians], *_BEHIND_CAR)
            return
        with self._lock:
            self._frames = [gaussians]
        self._draw()

    def show_layer(self, gaussians: Gaussians | None = None, look: str = COLOUR, asset: bytes = b"") -> None:
        """Show a scene in another way: as other splats, with their depth or normals for colours, or as a glTF asset."""
        with self._lock:
            if gaussians is not None:
                self._frames = [gaussians]
            self._look, self._asset = look, asset
        self._draw()

    def look_from(self, eye: tuple[float, float, float], yaw: float) -> None:
        """Put every visitor's camera there, level, looking along `yaw`."""
        self._place_cameras(eye, (eye[0] + ARM * math.cos(yaw), eye[1] + ARM * math.sin(yaw), eye[2]))

    def frame(self) -> Gaussians | None:
        """What is on show now."""
        frames, slider = self._frames, self._slider  # another thread may be changing them
        if not frames:
            return None
        return frames[min(int(slider.value), len(frames) - 1) if slider is not None else 0]

    def picture(self, camera: Camera) -> Float[Tensor, "3 h w"] | None:
        """What a camera sees of what is on show; None if there is nothing, or an asset that browsers draw."""
        gaussians, look = self.frame(), self._look
        if gaussians is None or self._asset:
            return None
        with torch.no_grad():
            if look == DEPTH:
                seen = render(gaussians, camera)
                return torch.where(seen.alpha > 0.5, distance_colours(seen.depth, *DEPTH_ENDS), 1.0)
            if look == NORMALS:
                seen = render(gaussians, camera, normals=True)
                assert seen.normal is not None
                unit = torch.nn.functional.normalize(seen.normal, dim=0)
                return torch.where(seen.alpha > 0.5, 0.5 + 0.5 * unit, 1.0)
            return render(gaussians, camera, background=torch.tensor(BACKGROUND)).rgb

    @property
    def server_render(self) -> bool:
        """Whether the server draws the frames; else the browser draws the splats."""
        return self._server_render

    @server_render.setter
    def server_render(self, wanted: bool) -> None:
        if wanted == self._server_render:
            return
        self._server_render = self._switch.value = wanted
        self._draw()

    def _show(
        self,
        frames: Frames,
        eye: tuple[float, float, float],
        target: tuple[float, float, float],
        dt: float = 0.0,
    ) -> None:
        with self._lock:
            self._frames, self._look, self._asset = frames, COLOUR, b""
            if self._slider is not None:
                self._slider.remove()
                self._slider = None
            for name in self._names:
                name.remove()
            self._names = []
            if len(frames) > 1:
                self._slider = self._server.gui.add_slider(
                    "Frame", min=0, max=len(frames) - 1, step=1, initial_value=0, hint=f"{dt:g} s apart"
                )
                self._slider.on_update(lambda _: self._draw())
        self._place_cameras(eye, target)
        self._draw()

    def _place_cameras(self, eye: tuple[float, float, float], target: tuple[float, float, float]) -> None:
        self._server.initial_camera.position, self._server.initial_camera.look_at = eye, target
        for client in self._server.get_clients().values():
            client.camera.position, client.camera.look_at = eye, target

    def _draw(self) -> None:
        with self._lock:
            gaussians = self.frame()
            for node in self._nodes:
                node.remove()
            self._nodes = []
            if gaussians is None:
                return
            if self._asset:
                # glTF is y-up: a quarter turn about x.
                half = math.sqrt(0.5)
                self._nodes = [self._server.scene.add_glb("/asset", self._asset, wxyz=(half, half, 0.0, 0.0))]
            elif not self._server_render and self._look == COLOUR:
                colours = (0.5 + SH_C0 * gaussians.sh[:, 0]).clamp(0, 1)  # viser draws degree 0 only
                self._nodes = [
                    self._server.scene.add_gaussian_splats(
                        "/splats",
                        centers=gaussians.means.numpy(),
                        covariances=_covariances(gaussians).numpy(),
                        rgbs=colours.numpy(),
                        opacities=gaussians.opacities[:, None].numpy(),
                    )
                ]
            if self._nodes:
                for client in self._server.get_clients().values():
                    client.scene.set_background_image(None)
        for stream in list(self._streams.values()):
            stream.request()

    def _stream_picture(self, camera: Camera) -> Float[Tensor, "3 h w"] | None:
        """What the server draws for browsers; None where they draw by themselves."""
        return self.picture(camera) if self._server_render or self._look != COLOUR else None

    def _connect(self, client: Any) -> None:
        stream = self._streams[client.client_id] = Stream(client, self._stream_picture)
        if self._visit is not None:
            self._visit.welcome(client)
        stream.request()

    def _disconnect(self, client: Any) -> None:
        stream = self._streams.pop(client.client_id, None)
        if stream is not None:
            stream.stop()
        if self._visit is not None:
            self._visit.farewell(client)


def _covariances(gaussians: Gaussians) -> Tensor:
    scaled = rotmat_from_quat(gaussians.quats) * gaussians.scales[:, None, :]
    return scaled @ scaled.mT
