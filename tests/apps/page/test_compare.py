"""The page of futures side by side: whatever the numbers are, their axis can be read."""

from pathlib import Path
from typing import Any

import pytest

from worldloom.apps.page.compare import filled_page

pytestmark = [pytest.mark.browser]


@pytest.mark.parametrize(
    ("uncertainty", "words"),
    [
        ([0.1, 0.2, 0.31], ["0 %", "18 %", "36 %"]),
        ([0.00002, 0.00004, 0.00011], ["0 %", "6.3e-3 %", "0.013 %"]),
        ([1e-9, 3e-8, 1.234e-7], ["0 %", "7.1e-6 %", "1.4e-5 %"]),
        ([0.0, 0.0, 0.0], ["0 %", "0.5 %", "1 %"]),
    ],
)
def test_labels_of_axes_are_whole(browser: Any, tmp_path: Path, uncertainty: list[float], words: list[str]) -> None:
    content = {
        "columns": [{"name": "future 1", "files": ["none.jpg"] * 4}],
        "dt": 0.5,
        "risk": {"collision_by_frame": [0.1, 0.2, 0.3], "off_road_by_frame": [0.0, 0.0, 0.0]},
        "uncertainty": uncertainty,
        "scores": {"model": {"means": {"miou": 50.0, "iou": 60.0, "movers_iou": None}, "iou": [90.0, None, 70.0]}},
        "reason": "", "method": "model", "path": "left",
    }  # fmt: skip
    (tmp_path / "page.html").write_text(filled_page("future", content))
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    page.locator("body[data-ready=yes]").wait_for(state="attached")
    ticks = page.evaluate("() => [...document.querySelectorAll('.tick')].map(t => [t.textContent, t.getBBox().x])")
    page.close()
    assert [text for text, _ in ticks] == ["0", "0.5", "1", *words, "0 %", "50 %", "100 %"]
    assert min(left for _, left in ticks) >= 0, "nothing is cut off at the left"
