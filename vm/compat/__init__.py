"""Whether the memory of two machines fits, told before a migration: contracts, their comparison, and why they differ.

Nothing here reads, maps or sends anything, but for `of_machine`, which looks at a machine that stands.
"""
