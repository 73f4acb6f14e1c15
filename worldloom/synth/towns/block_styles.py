"""How the blocks of a town may be built up, from closed rows to parks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BlockStyle:
    """How a block is built up; lengths in metres, pairs are ranges."""

    name: str
    styles: tuple[str, ...] = ()  # of buildings; none where nothing is built
    storeys: tuple[int, int] = (1, 1)
    width: tuple[float, float] = (0.0, 0.0)
    depth: tuple[float, float] = (0.0, 0.0)
    setback: tuple[float, float] = (0.0, 0.0)  # from the sidewalk
    gap: tuple[float, float] = (0.0, 0.0)  # between neighbours; 0 makes closed rows
    shops: float = 0.0  # share of buildings with shops
    fences: tuple[str, ...] = ()  # along the sidewalk; none where empty
    car_parks: float = 0.0  # chance of one in place of a building
    trees: float = 0.5  # for each 100 m2 of what is left
    bushes: float = 0.5
    paved: bool = True  # front yards are paved, not lawn


BLOCK_STYLES = (
    BlockStyle(
        "urban",
        styles=("brick", "stucco", "stone"),
        storeys=(3, 5),
        width=(12.0, 24.0),
        depth=(10.0, 13.0),
        setback=(0.3, 1.5),
        shops=0.55,
        car_parks=0.1,
    ),
    BlockStyle(
        "mixed",
        styles=("brick", "stucco", "concrete"),
        storeys=(2, 4),
        width=(12.0, 20.0),
        depth=(9.0, 13.0),
        setback=(1.5, 4.0),
        gap=(1.5, 6.0),
        shops=0.3,
        fences=("bricks", "hedge", "wire"),
        car_parks=0.2,
        trees=0.9,
        bushes=1.2,
    ),
    BlockStyle(
        "suburb",
        styles=("cottage", "timber", "brick", "stucco"),
        storeys=(1, 2),
        width=(9.0, 14.0),
        depth=(8.0, 11.0),
        setback=(4.0, 7.0),
        gap=(3.0, 8.0),
        fences=("pickets", "hedge", "tall_hedge", "bricks", "boards", "wall"),
        car_parks=0.03,
        trees=1.4,
        bushes=2.4,
        paved=False,
    ),
    BlockStyle(
        "offices",
        styles=("glass", "concrete", "stone"),
        storeys=(4, 9),
        width=(18.0, 32.0),
        depth=(14.0, 20.0),
        setback=(3.0, 7.0),
        gap=(4.0, 12.0),
        shops=0.15,
        car_parks=0.25,
        trees=0.7,
        bushes=1.2,
    ),
    BlockStyle(
        "estate",
        styles=("concrete", "stucco", "brick"),
        storeys=(3, 7),
        width=(22.0, 36.0),
        depth=(10.0, 12.0),
        setback=(6.0, 10.0),
        gap=(6.0, 14.0),
        fences=("hedge",),
        car_parks=0.25,
        trees=1.2,
        bushes=1.6,
        paved=False,
    ),
    BlockStyle(
        "works",
        styles=("warehouse", "concrete"),
        storeys=(1, 2),
        width=(22.0, 40.0),
        depth=(16.0, 26.0),
        setback=(3.0, 8.0),
        gap=(4.0, 12.0),
        fences=("wire", "boards", "wall"),
        car_parks=0.35,
        trees=0.5,
        bushes=0.8,
    ),
    BlockStyle("park", fences=("hedge", "wire", "pickets"), trees=1.7, bushes=1.4, paved=False),
)
BLOCK_CHANCES = {  # of BLOCK_STYLES, in a town's middle, around it, and outside the outermost streets
    "middle": (0.42, 0.2, 0.02, 0.2, 0.04, 0.02, 0.1),
    "around": (0.14, 0.2, 0.26, 0.08, 0.14, 0.08, 0.1),
    "outside": (0.0, 0.16, 0.46, 0.04, 0.16, 0.18, 0.0),
}
