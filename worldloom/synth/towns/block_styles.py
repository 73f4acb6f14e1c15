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
    fences: tuple[str, ...] = ()  # along the sidewalk, in closed rows only between buildings; none where empty
    car_parks: float = 0.0  # chance of one in place of a building
    trees: float = 0.5  # for each 100 m2 of what is left
    bushes: float = 0.5
    front: tuple[float, float, float] = (0.0, 0.0, 0.0)  # trees, bushes and shrubberies along the street, likewise
    paving: tuple[str, float] = ("sidewalk", 0.0)  # what front yards are paved with instead of lawn, and how often
    courts: float = 0.0  # chance of a paved yard behind the buildings


BLOCK_STYLES = (
    BlockStyle(
        "urban",
        styles=("brick", "stucco", "stone"),
        storeys=(3, 5),
        width=(12.0, 24.0),
        depth=(10.0, 13.0),
        setback=(0.3, 1.5),
        shops=0.55,
        fences=("wall", "bricks", "boards", "tall_hedge"),
        car_parks=0.06,
        front=(3.0, 1.0, 10.0),
        paving=("sidewalk", 1.0),
        courts=0.7,
    ),
    BlockStyle(
        "mixed",
        styles=("brick", "stucco", "concrete"),
        storeys=(2, 4),
        width=(12.0, 20.0),
        depth=(9.0, 13.0),
        setback=(1.2, 3.0),
        gap=(1.5, 6.0),
        shops=0.3,
        fences=("bricks", "hedge", "tall_hedge", "wire"),
        car_parks=0.08,
        trees=1.2,
        bushes=1.2,
        front=(4.0, 2.0, 14.0),
        paving=("sidewalk", 0.4),
        courts=0.6,
    ),
    BlockStyle(
        "suburb",
        styles=("cottage", "timber", "brick", "stucco"),
        storeys=(1, 2),
        width=(9.0, 14.0),
        depth=(8.0, 11.0),
        setback=(2.0, 4.5),
        gap=(3.0, 8.0),
        fences=("pickets", "hedge", "tall_hedge", "bricks", "boards", "wall"),
        car_parks=0.02,
        trees=2.0,
        bushes=2.4,
        front=(5.0, 3.0, 15.0),
    ),
    BlockStyle(
        "offices",
        styles=("glass", "concrete", "stone"),
        storeys=(4, 9),
        width=(18.0, 32.0),
        depth=(14.0, 20.0),
        setback=(2.0, 5.0),
        gap=(4.0, 12.0),
        shops=0.15,
        fences=("hedge", "tall_hedge", "wall"),
        car_parks=0.12,
        trees=1.2,
        bushes=1.2,
        front=(4.0, 2.0, 14.0),
        paving=("sidewalk", 0.5),
        courts=0.6,
    ),
    BlockStyle(
        "estate",
        styles=("concrete", "stucco", "brick"),
        storeys=(3, 7),
        width=(22.0, 36.0),
        depth=(10.0, 12.0),
        setback=(3.0, 5.5),
        gap=(6.0, 14.0),
        fences=("hedge", "tall_hedge"),
        car_parks=0.12,
        trees=2.2,
        bushes=1.6,
        front=(5.0, 2.0, 15.0),
    ),
    BlockStyle(
        "works",
        styles=("warehouse", "concrete"),
        storeys=(1, 2),
        width=(22.0, 40.0),
        depth=(16.0, 26.0),
        setback=(2.0, 5.5),
        gap=(4.0, 12.0),
        fences=("wire", "boards", "wall", "tall_hedge"),
        car_parks=0.2,
        trees=1.0,
        bushes=0.8,
        front=(3.0, 2.0, 14.0),
        paving=("other_flat", 0.2),
        courts=0.5,
    ),
    BlockStyle("park", fences=("hedge", "wire", "pickets"), trees=2.6, bushes=1.8, front=(5.0, 2.0, 15.0)),
    BlockStyle("wood", trees=5.0, bushes=3.0, front=(7.0, 2.0, 16.0)),
)
BLOCK_CHANCES = {  # of BLOCK_STYLES, in a town's middle, around it, and outside the outermost streets
    "middle": (0.38, 0.22, 0.04, 0.2, 0.05, 0.01, 0.08, 0.02),
    "around": (0.12, 0.2, 0.28, 0.08, 0.14, 0.06, 0.06, 0.06),
    "outside": (0.0, 0.14, 0.38, 0.04, 0.14, 0.12, 0.0, 0.18),
}
