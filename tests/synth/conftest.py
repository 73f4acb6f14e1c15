"""A town that is small enough for tests, made once."""

import pytest


@pytest.fixture(scope="session")
def small_town():
    """Nine blocks with parked cars, a work zone and closed lanes."""
    pytest.importorskip("libsumo", reason="towns need the extra `traffic`")
    pytest.importorskip("shapely", reason="towns need the extra `synth`")
    from worldloom.synth.towns.town import make_town

    return make_town(0, "grid", 200)
