"""Drivers of the ego: each looks at a state and acts, ten times a second."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from worldloom.synth.traffic.ego import EGO_EXTENT, EGO_FRONT, MAX_BRAKING, Action
from worldloom.synth.traffic.simulator import State
from worldloom.synth.traffic.way import Way

Pilot = Callable[[State], Action]
_SIDEWAYS = 2.5  # m/s² in a bend
_COMFORT = 2.0  # m/s² of braking that followers plan with
_HEADWAY = 1.2  # seconds behind a leader
_STANDSTILL = 2.0  # metres behind a leader that stands


def steer(state: State, way: Way, along: float) -> float:
    """Curvature of the arc through a point ahead on the way (pure pursuit, Coulter 1992): k = 2 y / d²."""
    ego = state.ego
    x, y, _ = way.at(along + max(2.5, 0.45 * ego.speed))
    ahead = (x - ego.x) * math.cos(ego.yaw) + (y - ego.y) * math.sin(ego.yaw)
    left = (y - ego.y) * math.cos(ego.yaw) - (x - ego.x) * math.sin(ego.yaw)
    return 2 * left / max(ahead**2 + left**2, 1e-6)


def smooth(share: Float64[np.ndarray, " p"]) -> Float64[np.ndarray, " p"]:
    """0 to 1 without a jerk, with zero slope and bend at both ends: 6 s⁵ - 15 s⁴ + 10 s³."""
    s = np.clip(share, 0, 1)
    return s**3 * (10 - 15 * s + 6 * s**2)


@dataclass
class Follow:
    """Along a way at a wished speed, braking for bends, and for who is ahead by the intelligent driver model.

    a = a_max (1 - (v / v0)⁴ - (s* / s)²), s* = s0 + v T + v dv / (2 sqrt(a_max b))  (Treiber et al. 2000)
    """

    way: Way
    speed: float
    yields: bool = True  # False: for nobody
    strongest: float = 2.5  # m/s² of acceleration
    _along: float = field(default=0.0, init=False)

    def __call__(self, state: State) -> Action:
        ego = state.ego
        self._along = self.locate(ego.x, ego.y)
        curvature = steer(state, self.way, self._along)
        wished = min(self.speed, self._bend_speed(ego.speed))
        a = self.strongest * (1 - (ego.speed / max(wished, 0.1)) ** 4)
        if self.yields:
            a = min(a, self._yielding(state))
        return Action(max(a, -6.0 if self.yields else -3.0), curvature)

    def locate(self, x: float, y: float) -> float:
        """Metres along the way, sought near the last."""
        return self.way.locate(x, y, after=max(0.0, self._along - 5), before=self._along + 10)[0]

    def _bend_speed(self, speed: float) -> float:
        """The speed from which a comfortable braking reaches each bend ahead slowly enough."""
        ahead = self._along + np.arange(0.0, max(6.0, speed**2 / 3), 2.0)
        headings = np.unwrap([self.way.at(s)[2] for s in (*ahead, ahead[-1] + 2)])
        bends = np.maximum(np.abs(np.diff(headings)) / 2.0, 1e-3)
        return float(np.sqrt(_SIDEWAYS / bends + 2 * _COMFORT * (ahead - self._along)).min())

    def _yielding(self, state: State) -> float:
        ego = state.ego
        least = math.inf
        for gap, along_speed in ahead_of(state, self.way, self._along):
            approach = ego.speed - along_speed
            wanted = _STANDSTILL + max(
                0.0, ego.speed * _HEADWAY + ego.speed * approach / (2 * math.sqrt(self.strongest * _COMFORT))
            )
            least = min(least, self.strongest * (1 - (wanted / max(gap, 0.1)) ** 2))
        if state.time_to_collision < 1.6 and state.min_gap < 12 and ego.speed > 1:
            least = min(least, -5.0)
        return least


def ahead_of(state: State, way: Way, along: float) -> list[tuple[float, float]]:
    """(gap to the ego's bumper, speed along the way) of moving users whose boxes reach into the ego's lane ahead."""
    users = state.users
    out = []
    poses = users.world_from_user[:, :2].double().numpy()
    velocities = users.velocity[:, :2].double().numpy()
    offsets = poses[:, :, 3] - np.array([state.ego.x, state.ego.y])
    for i in np.flatnonzero(np.hypot(*offsets.T) < 45):
        s, d = way.locate(*map(float, poses[i, :, 3]), after=max(0.0, along - 5), before=along + 50)
        _, _, heading = way.at(s)
        c, q = math.cos(heading), math.sin(heading)
        forward = poses[i, 0, 0] * c + poses[i, 1, 0] * q
        sideways = poses[i, 1, 0] * c - poses[i, 0, 0] * q
        length, width = users.extents[i, :2].tolist()
        half_along = (abs(forward) * length + abs(sideways) * width) / 2
        half_aside = (abs(sideways) * length + abs(forward) * width) / 2
        gap = s - half_along - along - EGO_FRONT
        if -3 < gap < 45 and abs(d) < half_aside + EGO_EXTENT[1] / 2 + 0.2 and s > along:
            out.append((max(gap, 0.05), float(velocities[i] @ np.array([c, q]))))
    return out


def brake(way: Way, strength: float) -> Pilot:
    """Along a way, braking to a stand."""
    follow = Follow(way, 1.0)

    def act(state: State) -> Action:
        return Action(-strength, follow(state).curvature)

    return act


def speed_up(way: Way, speed: float, strength: float) -> Pilot:
    """Along a way, faster and faster up to a speed, for nobody and no bend."""
    follow = Follow(way, speed, yields=False)

    def act(state: State) -> Action:
        return Action(strength if state.ego.speed < speed else 0.0, follow(state).curvature)

    return act


def pursue(name: str, place: tuple[float, ...] | None = None) -> Pilot:
    """At where a moving user will be, or at one that stands at a place."""

    def act(state: State) -> Action:
        ego = state.ego
        if place is not None:
            x, y = place
            vx = vy = 0.0
        elif name in state.users.ids:
            i = state.users.ids.index(name)
            x, y = state.users.world_from_user[i, :2, 3].tolist()
            vx, vy = state.users.velocity[i, :2].tolist()
        else:
            return Action(-3.0, 0.0)
        away = math.dist((x, y), (ego.x, ego.y))
        closing = ego.speed - ((x - ego.x) * vx + (y - ego.y) * vy) / max(away, 1e-6)
        ahead = min(away / max(closing, 2.0), 3.0)
        x, y = x + ahead * vx, y + ahead * vy
        forward = (x - ego.x) * math.cos(ego.yaw) + (y - ego.y) * math.sin(ego.yaw)
        left = (y - ego.y) * math.cos(ego.yaw) - (x - ego.x) * math.sin(ego.yaw)
        squared = max(forward**2 + left**2, 1e-6)
        k = 2 * left / squared if forward > 0 else math.copysign(0.15, left)
        # Slow enough for the bend, fast enough to arrive.
        limit = math.sqrt(6.0 / max(abs(k), 0.01))
        return Action(3.0 if ego.speed < min(15.0, limit) else -4.0, max(-0.18, min(0.18, k)))

    return act


def tailgate(way: Way, distance: float) -> Pilot:
    """Up to so many metres behind whoever is ahead."""
    follow = Follow(way, 15.0, yields=False)

    def act(state: State) -> Action:
        curvature = follow(state).curvature
        ahead = ahead_of(state, way, follow.locate(state.ego.x, state.ego.y))
        if not ahead:
            return Action(1.5 if state.ego.speed < 13 else 0.0, curvature)
        gap, speed = min(ahead)
        # The speed from which a braking of 3 m/s² ends at the wished distance, at the leader's speed.
        left = gap - distance
        wished = speed + math.copysign(math.sqrt(2 * 3.0 * abs(left)), left) if abs(left) > 0.6 else speed + left
        return Action(max(-MAX_BRAKING, min(3.0, (wished - state.ego.speed) / 0.3)), curvature)

    return act
