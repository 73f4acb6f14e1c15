"""Scenarios as a ScenarioNet database."""

from collections.abc import Iterator
from pathlib import Path

from worldloom.apps.batch.export.scene import ExportScene
from worldloom.geometry.io.scenarionet import Scenario, save_scenarionet


def export_scenarionet(folder: Path, scenes: Iterator[ExportScene]) -> int:
    """Write the database; returns how many scenarios it has."""
    scenarios = [
        Scenario(
            scene.name,
            scene.ego,
            scene.users,
            scene.road.edges(),
            {"title": scene.result.spec.title, "shard": scene.result.shard},
        )
        for scene in scenes
    ]
    if scenarios:
        save_scenarionet(folder, scenarios)
    return len(scenarios)
