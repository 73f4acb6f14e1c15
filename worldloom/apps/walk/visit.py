"""A visit to a scene: how one moves, what is shown, the map, screenshots and films; with controls in viser's panel."""

import io
import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from worldloom.apps.walk import background
from worldloom.apps.walk.minimap import Minimap
from worldloom.apps.walk.newest import Newest
from worldloom.apps.walk.passage import Place
from worldloom.apps.walk.recording import FPS, Recording
from worldloom.apps.walk.stream import camera_from_viser, pixels_of
from worldloom.apps.walk.world import World
from worldloom.errors import InputError, MissingExtra
from worldloom.geometry import Camera
from worldloom.geometry.io import save_camera_paths, save_video
from worldloom.render import render

if TYPE_CHECKING:
    from worldloom.apps.walk.viewer import Viewer

WALK, FLY = "Walk", "Fly"
LAYERS = ("Splats", "Mesh", "Voxels", "Depth", "Normals")
SCREENSHOT_HEIGHT = 1080  # pixels
_LEVEL = 0.25  # metres by which what was hit may be off the floor
_MAP_SECONDS = 0.15  # between two pictures of the map
_NUDGE = 0.01  # metres; a smaller difference is no reason to move a camera
_ARRIVAL_SECONDS = 1.5  # after which a camera that was sent somewhere is believed to be where its browser says


class Visit:
    """See the module. One for each viewer; all who look through it share the controls, and each has a camera."""

    def __init__(self, viewer: "Viewer", world: World) -> None:
        self._viewer, self._world = viewer, world
        self._where: dict[int, Place] = {}
        self._sent: dict[int, float] = {}  # when a camera was sent to its place, until it is there
        self._movers: dict[int, Newest] = {}
        self._recordings: dict[int, Recording] = {}
        self._placing = threading.Lock()  # a step that is still being checked must not undo a leap
        self._lines: list[Any] = []
        self._ready = False  # whether collisions in flight are known
        self._stopped = False
        self._map_drawn = 0.0
        self._map = Minimap.of(world)
        self._panel()
        viewer.server.scene.on_click()(self._clicked)
        for client in viewer.server.get_clients().values():
            self.welcome(client)
        background.start(self._measure_air)

    def stop(self) -> None:
        """End all threads."""
        self._stopped = True
        for mover in list(self._movers.values()):
            mover.stop()

    def welcome(self, client: Any) -> None:
        """Follow a visitor who has come."""
        if client.client_id in self._movers:
            return
        # What a browser tells first is its own idea of a camera.
        self._teleport(client, self._world.eye, self._world.first_target)
        mover = Newest(lambda _: self._moved(client))
        self._movers[client.client_id] = mover
        client.camera.on_update(lambda _: mover.request())
        mover.request()

    def farewell(self, client: Any) -> None:
        """Forget a visitor who has gone."""
        mover = self._movers.pop(client.client_id, None)
        if mover is not None:
            mover.stop()
        self._where.pop(client.client_id, None)
        self._sent.pop(client.client_id, None)
        self._recordings.pop(client.client_id, None)

    def allowed(self, before: Place, wanted: Place) -> Place:
        """Where one gets who is at `before` and wants to be at `wanted`."""
        if not self._collisions.value:
            return wanted
        if self._mode.value == WALK and self._world.footing is not None:
            return self._world.footing.walked(before, wanted)
        return self._world.air.flown(before, wanted) if self._ready else wanted

    def _panel(self) -> None:
        gui = self._viewer.server.gui
        on_foot = self._world.footing is not None
        self._mode = gui.add_dropdown(
            "Move", (WALK, FLY) if on_foot else (FLY,), hint="" if on_foot else "There is no level floor at the start"
        )
        self._mode.on_update(lambda event: self._settle(event.client))
        self._collisions = gui.add_checkbox("Collisions", True, hint="Walls and things stop you")
        self._layer = gui.add_dropdown("Show", LAYERS, hint="Depth and normals are drawn by the server")
        self._layer.on_update(lambda _: self._in_background(self._change_layer))
        self._planned = gui.add_checkbox("Planned paths", False, visible=bool(self._world.paths))
        self._planned.on_update(lambda _: self._toggle_paths())
        self._picture = gui.add_image(self._map.with_visitor(*self._world.eye[:2], self._start_yaw()), label="Map")
        gui.add_markdown("Click the ground to go there." if on_foot else "Click a thing to go towards it.")
        gui.add_button("Back to the start").on_click(self._back)
        gui.add_button("Screenshot").on_click(lambda event: self._in_background(self._screenshot, event.client))
        self._record = gui.add_button("Record a film", hint="Press, walk, and press again")
        self._record.on_click(lambda event: self._in_background(self._toggle_recording, event.client))
        self._progress = gui.add_progress_bar(0, visible=False)
        self._said = gui.add_markdown("", visible=False)

    def _start_yaw(self) -> float:
        (x, y, _), (x2, y2, _) = self._world.eye, self._world.start.target
        return math.atan2(y2 - y, x2 - x)

    def _moved(self, client: Any) -> None:
        """Keep a camera where a body can be, draw it on the map, and note it if it is filmed."""
        with self._placing:
            before, wanted = self._where.get(client.client_id), _place(client.camera.position)
            if before is None or self._on_its_way(client, before, wanted):
                return
            there = self.allowed(before, wanted)
            self._where[client.client_id] = there
            if math.dist(there, wanted) > _NUDGE:
                client.camera.position = there
        pose = camera_from_viser(client.camera, 16).world_from_cam
        recording = self._recordings.get(client.client_id)
        if recording is not None:
            pose[:3, 3] = torch.tensor(there)
            recording.add(pose, time.monotonic())
            if recording.full:
                self._in_background(self._toggle_recording, client)
        if time.monotonic() - self._map_drawn > _MAP_SECONDS:
            self._map_drawn = time.monotonic()
            ahead = pose[:3, 2].tolist()
            self._picture.image = self._map.with_visitor(there[0], there[1], math.atan2(ahead[1], ahead[0]))

    def _back(self, event: Any) -> None:
        self._teleport(event.client, self._world.eye, self._world.first_target)

    def _settle(self, client: Any) -> None:
        """Stand on the ground again after a flight."""
        if client is not None and self._mode.value == WALK and self._world.footing is not None:
            self._teleport(client, self._world.footing.nearest(*_place(client.camera.position)[:2]))

    def _on_its_way(self, client: Any, goal: Place, told: Place) -> bool:
        """Whether what the browser tells is still from before it was sent to its place."""
        sent = self._sent.get(client.client_id)
        if sent is None:
            return False
        if math.dist(goal, told) > _NUDGE and time.monotonic() - sent < _ARRIVAL_SECONDS:
            return True
        del self._sent[client.client_id]
        return False

    def _teleport(self, client: Any, place: Place, target: Place | None = None) -> None:
        """Put a camera at a place, looking as before or at a target."""
        if client is None:
            return
        with self._placing, client.atomic():
            self._where[client.client_id], self._sent[client.client_id] = place, time.monotonic()
            client.camera.position = place
            if target is not None:
                client.camera.look_at = target

    def _clicked(self, event: Any) -> None:
        """Go where the ground was clicked; in flight, half-way to what was clicked."""
        hit = self._world.hit(event.ray_origin, event.ray_direction)
        footing = self._world.footing
        if hit is None:
            self._say("Nothing is there to go to.")
        elif self._mode.value == WALK and footing is not None:
            if abs(hit[2] - footing.ground.floor) < _LEVEL and footing.at(hit[0], hit[1]):
                self._say("")
                self._teleport(event.client, (hit[0], hit[1], footing.height))
            else:
                self._say("Nobody can stand there.")
        else:
            x, y, z = ((a + b) / 2 for a, b in zip(event.ray_origin, hit, strict=True))
            self._teleport(event.client, (x, y, z))

    def _change_layer(self) -> None:
        layer, viewer = self._layer.value, self._viewer
        if layer == "Mesh":
            self._say("The mesh is being made …")
            viewer.show_layer(asset=self._world.mesh)
        elif layer == "Voxels":
            self._say("Voxels are being made …")
            viewer.show_layer(self._world.voxel_splats)
        else:
            look = {"Depth": "depth", "Normals": "normals"}.get(layer, "colour")
            viewer.show_layer(self._world.gaussians, look)
        self._say("")

    def _toggle_paths(self) -> None:
        for line in self._lines:
            line.remove()
        self._lines = []
        if not self._planned.value:
            return
        for i, path in enumerate(self._world.paths):
            places = path.cameras.world_from_cam[:, :3, 3]
            if len(places) < 2:
                continue
            segments = torch.stack([places[:-1], places[1:]], 1).numpy()
            name = f"/paths/{i}"
            self._lines.append(
                self._viewer.server.scene.add_line_segments(name, segments, (28, 92, 190), thickness=0.02)
            )

    def _screenshot(self, client: Any) -> None:
        if client is None:
            return
        height = min(SCREENSHOT_HEIGHT, 2 * int(client.camera.image_height))
        drawn = self._viewer.picture(camera_from_viser(client.camera, height))
        if drawn is None:  # of a mesh the browser has the only picture
            pixels = client.get_render(int(client.camera.image_height), int(client.camera.image_width), timeout=60.0)
        else:
            pixels = pixels_of(drawn)
        file = io.BytesIO()
        Image.fromarray(np.asarray(pixels)).save(file, "PNG")
        client.send_file_download("screenshot.png", file.getvalue(), save_immediately=True)

    def _toggle_recording(self, client: Any) -> None:
        if client is None:
            return
        recording = self._recordings.pop(client.client_id, None)
        if recording is None:
            self._recordings[client.client_id] = recording = Recording()
            recording.add(camera_from_viser(client.camera, 16).world_from_cam, time.monotonic())
            self._record.label = "Stop and make the film"
            self._say("Recording. Walk!")
            return
        self._record.label, self._record.disabled = "Record a film", True
        try:
            path = recording.path()
            with tempfile.TemporaryDirectory() as folder:
                film, way = Path(folder) / "walk.mp4", Path(folder) / "walk_path.json"
                self._progress.visible = True
                save_video(film, self._filmed(path.cameras), FPS)
                save_camera_paths(way, [path])
                client.send_file_download(film.name, film.read_bytes(), save_immediately=True)
                client.send_file_download(way.name, way.read_bytes(), save_immediately=True)
            self._say(f"walk.mp4 has {len(path.cameras)} frames; walk_path.json is a path for worldloom scene --paths.")
        finally:
            self._progress.visible, self._record.disabled = False, False

    def _filmed(self, cameras: Camera) -> Iterator[Float[Tensor, "3 h w"]]:
        for i in range(len(cameras)):
            if self._stopped:
                raise InputError("expected the visit to last until the film is made, got its end")
            with torch.no_grad():
                yield render(self._world.gaussians, cameras[i]).rgb.clamp(0, 1)
            self._progress.value = 100 * (i + 1) / len(cameras)

    def _measure_air(self) -> None:
        try:
            self._ready = bool(self._world.air.clearance.size)
        except InputError:  # nothing is seen from the start, so nothing stops a flight
            self._ready = False

    def _say(self, words: str) -> None:
        self._said.content, self._said.visible = words, bool(words)

    def _in_background(self, work: Callable[..., None], *arguments: Any) -> None:
        """On a thread of its own; what a user can mend is said in the panel."""

        def run() -> None:
            try:
                work(*arguments)
            except (InputError, MissingExtra, TimeoutError) as error:
                self._say(str(error))

        background.start(run)


def _place(point: Any) -> Place:
    x, y, z = (float(p) for p in point)
    return x, y, z
