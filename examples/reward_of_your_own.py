"""Another reward, sensors of one's own, and a replay that is the same bit for bit.

python examples/reward_of_your_own.py drive.json
"""

import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import worldloom.apps.simulation  # registers the environments
from worldloom.apps.simulation.replay import Recorder, load_replay, replay, save_replay
from worldloom.occupancy.simulation import DriveState
from worldloom.occupancy.simulation.scores import least_gap
from worldloom.occupancy.simulation.sensors import Birdseye, Lidar

assert worldloom.apps.simulation


def polite(before: DriveState[Any], after: DriveState[Any]) -> float:
    """Keep five metres from everybody, near 5 m/s, and do not jerk; contacts are worth -10."""
    leg = after.legs[-1]
    close = max(0.0, 5.0 - least_gap(leg)) / 5.0
    jerk = abs(after.doing.acceleration - before.doing.acceleration) / 10.0
    return 1.0 - abs(after.ego.speed - 5.0) / 5.0 - close - jerk - 10.0 * bool(after.contacts)


def make(**more: Any) -> gymnasium.Env[Any, Any]:
    """The environment with this reward, a small map and a small LiDAR."""
    sensors = {"map": Birdseye(48), "laser": Lidar(rings=4, azimuths=32)}
    return gymnasium.make(
        "worldloom/OccupancyDrive-v0", **{"reward": polite, "observation": sensors, "seconds": 4.0, **more}
    )


def record(env: gymnasium.Env[Any, Any], path: Path) -> float:
    """Drive gently and keep what was done; the sum of the rewards."""
    recorder, total, over = Recorder(env), 0.0, False
    recorder.reset(seed=7)
    while not over:
        _, reward, terminated, truncated, info = recorder.step(np.array([0.05, 0.0], np.float32))
        total, over = total + float(reward), terminated or truncated
        print(f"{info['timestamp_us'] / 1e6:4.1f} s  {info['speed']:4.1f} m/s  reward {reward:5.2f}")
    save_replay(path, recorder.log)
    return total


def main() -> None:
    """Record a drive, and do it again in a new environment."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "drive.json")
    print(f"return {record(make(), path):.2f}")
    differs = replay(make(), load_replay(path))
    print("the replay is the same" if differs is None else f"the replay differs in step {differs}")


if __name__ == "__main__":
    main()
