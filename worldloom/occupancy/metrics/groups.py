"""Groups of Occ3D's classes that metrics speak of."""

from worldloom.geometry.occupancy import FREE, GROUND, MOVERS, STANDING, STATIC

VRU = (2, 6, 7)  # bicycle, motorcycle, pedestrian: vulnerable road users
SMALL = (*VRU, 8)  # and traffic_cone: what coarse codes lose first
RARE = (2, 6, 7, 8, 1)  # and traffic_cone, barrier: always shown in a table of their own
OBSTACLES = tuple(sorted((*MOVERS, *STANDING)))

assert sorted((*STANDING, *GROUND)) == list(STATIC)
assert sorted((*OBSTACLES, *GROUND, FREE)) == list(range(FREE + 1))
