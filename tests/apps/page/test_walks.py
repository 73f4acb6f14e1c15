"""The way to a viewer: by its name, and past the gate."""

from pathlib import Path
from typing import Any

import pytest
import torch

from worldloom.apps.page import walks as ways
from worldloom.apps.page.gate import Gate
from worldloom.apps.page.jobs import Jobs
from worldloom.apps.page.services import Services
from worldloom.apps.page.visitors import COOKIE, Visitors
from worldloom.apps.page.walks import Walks
from worldloom.errors import InputError
from worldloom.geometry import Gaussians, sh_from_rgb
from worldloom.geometry.io import save_gaussians

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("viser")
SPOKEN = "viser-v1.1.1"  # as its client begins


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    n = 400
    means = torch.randn(n, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([4.0, 0, 0])
    quats = torch.tensor([1.0, 0, 0, 0]).expand(n, 4).clone()
    colours = sh_from_rgb(torch.full((n, 3), 0.5))
    save_gaussians(tmp_path / "scene.ply", Gaussians(means, quats, torch.full((n, 3), 0.1), torch.ones(n), colours))
    return tmp_path


def test_a_viewer_is_reached_by_its_name_with_a_cookie_and_no_longer_when_it_is_closed(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastapi.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    walks, visitors, app = Walks(), Visitors(tmp_path), fastapi.FastAPI()
    ways.add_routes(app, walks)
    gate: Any = Gate(app, visitors, ("ann", "secret"))
    name = walks.open(scene, server_render=True)
    assert len(name) >= 22
    with TestClient(gate) as client:

        def opens(name: str, cookie: str) -> bool:
            try:
                headers = {"Cookie": f"{COOKIE}={cookie}"}
                with client.websocket_connect(f"/walk/{name}", subprotocols=[SPOKEN], headers=headers) as link:
                    assert link.accepted_subprotocol == SPOKEN
                    return len(link.receive_bytes()) > 10
            except WebSocketDisconnect:
                return False

        known = visitors.new_cookie()
        assert opens(name, known)
        assert not opens(name, "mine.forged")
        assert not opens(name[:-1], known)
        page = client.get(f"/walk/{name}/", auth=("ann", "secret"))
        assert page.status_code == 200
        assert "<html" in page.text.lower()
        assert client.get(f"/walk/{name}/").status_code == 401
        monkeypatch.setattr(ways, "MOST_OPEN", 1)
        other = walks.open(scene, server_render=False)
        assert not opens(name, known), "the oldest makes room"
        assert opens(other, known)
        walks.close(other)
        walks.close(other)
        assert not opens(other, known)
    with pytest.raises(InputError, match=r"scene\.ply or future\.npz"):
        walks.open(tmp_path / "none", server_render=True)


def test_a_forged_cookie_is_nobody(tmp_path: Path) -> None:
    visitors = Visitors(tmp_path)
    jobs = Jobs(lambda job, state: None)
    jobs.close()
    services = Services(visitors, jobs, Walks(), {})
    request: Any = type("Request", (), {"cookies": {COOKIE: "mine.forged"}})
    with pytest.raises(InputError, match="keeps this page's cookie"):
        services.visitor(request)
    known = visitors.new_cookie()
    request.cookies = {COOKIE: known}
    assert services.visitor(request) == known
