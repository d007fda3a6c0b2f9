"""How large the pages of targets are, which streams are made of."""

from __future__ import annotations

PAGE_SIZES = (4096, 1024, 2048, 8192, 16384, 32768, 65536)
"""Bytes, of the targets that there are, the most usual first."""
SMALL_PAGE_SIZES = (1024, 2048)
SMALLEST_PAGE = 1024
PAGE_SIZES_OF_MACHINES = {
    **dict.fromkeys(("clipper", "sun4u", "sun4v", "niagara", "axis-dev88", "or1k-sim"), 8192),
    "tricore_testboard": 16384,
}
"""Bytes of a page of targets with large ones, which do not tell."""
