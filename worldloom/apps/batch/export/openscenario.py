"""Scenarios as OpenSCENARIO, with the source's OpenDRIVE roads where it has any."""

from collections.abc import Iterator
from pathlib import Path

from worldloom.apps.batch.export.scene import ExportScene
from worldloom.apps.batch.spec import Occ3dSource, Source, TownSource
from worldloom.errors import InputError, MissingExtra
from worldloom.geometry.io.atomic import atomic_path, safe_join
from worldloom.geometry.io.json_file import load_json
from worldloom.geometry.io.openscenario import save_openscenario


def export_openscenario(folder: Path, scenes: Iterator[ExportScene]) -> tuple[int, int]:
    """Write `<scenario>.xosc` each, and the roads of each source once; returns how many, and how many have roads."""
    count = with_roads = 0
    known: dict[Source, str | None] = {}
    for scene in scenes:
        source = scene.result.spec.source
        place = _place(source)
        if place not in known:
            known[place] = _save_roads(folder, place)
        roads = known[place]
        description = scene.result.spec.title
        save_openscenario(folder / f"{scene.name}.xosc", scene.ego, scene.users, roads, description)
        count, with_roads = count + 1, with_roads + (roads is not None)
    return count, with_roads


def _place(source: Source) -> Source:
    """The same for all sources that share their roads."""
    if isinstance(source, TownSource):
        return TownSource(source.town)
    return source


def _save_roads(folder: Path, source: Source) -> str | None:
    """The name of the OpenDRIVE file, where the source has one."""
    if isinstance(source, TownSource):
        from worldloom.synth.towns.town import make_town

        try:
            content = make_town(source.town).roads.opendrive()
        except MissingExtra:
            return None
        name = f"town-{source.town:04d}.xodr"
    elif isinstance(source, Occ3dSource):
        path = _opendrive_of(Path(source.root), source.scene)
        if path is None:
            return None
        content, name = path.read_bytes(), path.name
    else:
        return None
    with atomic_path(folder / name) as temporary:
        temporary.write_bytes(content)
    return name


def _opendrive_of(root: Path, scene: str) -> Path | None:
    """`opendrive/<location>.xodr` of the location that the tables say of a scene."""
    for table in sorted(root.glob("*/scene.json")):
        try:
            scenes = {one.get("name"): one for one in load_json(table, list) if isinstance(one, dict)}
            logs = {one.get("token"): one for one in load_json(table.with_name("log.json"), list)}
            location = logs[scenes[scene]["log_token"]]["location"]
            path = safe_join(root, f"opendrive/{location}.xodr")
        except (KeyError, TypeError, AttributeError, InputError):
            continue
        if path.is_file():
            return path
    return None
