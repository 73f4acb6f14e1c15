"""A client of `worldloom serve`: chunks of a path, what-ifs, and two futures of one moment.

WORLDLOOM_TOKEN=a-long-secret-of-yours worldloom serve
WORLDLOOM_TOKEN=a-long-secret-of-yours python examples/drive_over_http.py
"""

import os
import sys

from worldloom.apps.service.client import Client


def drive(url: str, token: str) -> list[float]:
    """Drive a little; the speeds that were driven."""
    speeds = []
    with Client(url, token) as client:
        started = client.start_session(client.starts()[0], seed=1, observation=("numbers", "lidar"))
        session, (_, _, _, speed) = started.session, started.frame.ego
        # Straight ahead for a second, as a caller with a plan of its own says it.
        path = [(0.5 * speed * (i + 1), 0.0, 0.0) for i in range(2)]
        for frame in client.step_chunk(session, trajectory=path):
            speeds.append(frame.ego[3])
            nearest = frame.observations["lidar"].min()
            print(f"{frame.timestamp_us} us: {frame.progress:.1f} m, nearest return {nearest:.1f} m")
        # What would come of braking, and of the opposite? The session stays where it is.
        for name, pedal in (("brake", -4.0), ("go", 2.0)):
            (frames,) = client.branch(session, actions=[[(pedal, 0.0)] * 2])
            print(f"{name}: {frames[-1].ego[3]:.1f} m/s, {'contact' if frames[-1].contact else 'no contact'}")
        # Another future of the same moment.
        other = client.fork(session, seed=99)
        speeds.append(client.step_chunk(other.session, actions=[(-1.0, 0.0)])[0].ego[3])
        print(client.metrics(other.session))
        for name in (session, other.session):
            client.close_session(name)
    return speeds


if __name__ == "__main__":
    if not os.environ.get("WORLDLOOM_TOKEN"):
        sys.exit("expected the server's token in WORLDLOOM_TOKEN")
    drive(os.environ.get("WORLDLOOM_URL", "http://127.0.0.1:8765"), os.environ["WORLDLOOM_TOKEN"])
