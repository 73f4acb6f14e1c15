"""PPO learns to drive in the learned world, from the cheapest observation.

The world is asked as cheaply as it can be: one call of the network for a draw, nothing filled in beyond 15 m. A few
thousand steps are enough to see it learn to follow the route; they are not enough for a driver.

    pip install 'worldloom[rl]'
    python examples/learn_with_ppo.py --steps 4096
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO

import worldloom.apps.simulation  # registers the environments
from worldloom.occupancy.simulation import ModelWorldConfig

assert worldloom.apps.simulation
CHEAP = ModelWorldConfig(steps=1, reach=15.0, departure=3.0)


def make(seconds: float = 8.0, **more: Any) -> gymnasium.Env[Any, Any]:
    """The environment of the bundled clip, driven by pedals and wheel."""
    return gymnasium.make("worldloom/OccupancyDrive-v0", **{"world": CHEAP, "seconds": seconds, **more})


def mean_return(env: gymnasium.Env[Any, Any], act: Callable[[Any], Any], episodes: int, seed: int = 1000) -> float:
    """The mean sum of rewards over drives of fixed seeds."""
    returns = []
    for number in range(episodes):
        seen, _ = env.reset(seed=seed + number)
        total, over = 0.0, False
        while not over:
            seen, reward, terminated, truncated, _ = env.step(act(seen))
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    return statistics.mean(returns)


def learn(env: gymnasium.Env[Any, Any], steps: int, seed: int = 0) -> PPO:
    """A policy after so many steps."""
    torch.manual_seed(seed)
    model = PPO(
        "MlpPolicy",
        env,
        n_steps=min(256, steps),
        batch_size=64,
        n_epochs=10,
        learning_rate=1e-3,
        gamma=0.95,
        policy_kwargs={"net_arch": [64, 64], "log_std_init": -1.0},
        seed=seed,
        device="cpu",
    )
    return model.learn(steps)


def compare(env: gymnasium.Env[Any, Any], steps: int, episodes: int) -> tuple[float, float]:
    """Mean returns of drives before learning and after."""
    dice = np.random.default_rng(0)
    shape = env.action_space.shape
    assert shape is not None
    before = mean_return(env, lambda _: dice.normal(0, 0.37, shape).clip(-1, 1), episodes)
    model = learn(env, steps)
    after = mean_return(env, lambda seen: model.predict(seen, deterministic=True)[0], episodes)
    return before, after


def main() -> None:
    """Read the options, learn, and say what was learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4096)
    parser.add_argument("--episodes", type=int, default=20, help="drives before and after, to compare")
    options = parser.parse_args()
    before, after = compare(make(), options.steps, options.episodes)
    print(f"mean return of {options.episodes} drives: {before:.2f} at random, {after:.2f} after {options.steps} steps")


if __name__ == "__main__":
    main()
