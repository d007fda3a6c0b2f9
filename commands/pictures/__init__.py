"""Pictures of the map: as SVG, and as a page for browsers; of one machine, or of two beside each other.

All of it is made from what `query-map` and `query-address` answer. `chains` has what is behind the addresses, `axis`
where they are drawn, `comparison` what two maps have different, `svg` and `page` the two kinds of picture.
"""
