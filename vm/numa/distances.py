"""Distances between NUMA nodes: how much longer an access takes than a local one, which is 10 (ACPI's SLIT)."""

from __future__ import annotations

from ..errors import VMError
from . import MAX_NODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import NumaNode

LOCAL = 10


def add_distance(nodes: dict[int, NumaNode], source: int, destination: int, distance: int) -> None:
    """Keep a distance; a later one for the same pair replaces it."""
    for name, node_id in (("src", source), ("dst", destination)):
        if node_id >= MAX_NODES:
            raise VMError(f"Parameter '{name}' expects an integer between 0 and {MAX_NODES - 1}")
    if source not in nodes or destination not in nodes:
        raise VMError("Source/Destination NUMA node is missing. Please use '-numa node' option to declare it first.")
    if distance < LOCAL:
        raise VMError(f"NUMA distance ({distance}) is invalid, it shouldn't be less than {LOCAL}.")
    if source == destination and distance != LOCAL:
        raise VMError(f"Local distance of node {source} should be {LOCAL}.")
    nodes[source].distances[destination] = distance


def complete_distances(nodes: list[NumaNode]) -> None:
    """Fill in what was given in one direction only; raises `VMError` if that does not make a whole."""
    asymmetrical = False
    for source in nodes:
        for destination in nodes[source.node_id + 1 :]:
            there, back = source.distances.get(destination.node_id), destination.distances.get(source.node_id)
            if there is None and back is None:
                raise VMError(
                    f"The distance between node {source.node_id} and {destination.node_id} is missing, at least one "
                    "distance value between each nodes should be provided."
                )
            asymmetrical |= there is not None and back is not None and there != back
    for source in nodes:
        for destination in nodes:
            if destination.node_id in source.distances:
                continue
            if source is destination:
                source.distances[source.node_id] = LOCAL
            elif asymmetrical:
                raise VMError(
                    "At least one asymmetrical pair of distances is given, please provide distances for both "
                    "directions of all node pairs."
                )
            else:
                source.distances[destination.node_id] = destination.distances[source.node_id]
