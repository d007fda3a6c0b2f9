"""Migration: guest memory, and what devices are in, as QEMU's stream has them; sent, received, looked at.

`format` has the numbers. The codec is pure: `reading` (with its `feed`, `ram_reading` and `events`) and `writing` for
the stream, `multifd` for packets on channels beside it, `mapped` for pages at places of a file, `devices` for what
follows the RAM, `way_back` for what a destination tells; `page_words` compares many pages' words at once. `frames` and
`arriving` are the memory that goes and comes, in bulk. `sending` and `receiving` move one machine's through a
`channel`; those whose names begin with `multifd_` and `mapped_` extend them. `outgoing` and `incoming` are the two
sides as tasks, `state` is what both are asked about.
"""
