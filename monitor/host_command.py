"""`ramslot host`: commands about the host that need no machine."""

from __future__ import annotations

import sys

USAGE = """\
usage: {program} host export [-host DESCRIPTION]

export prints the present machine as JSON: NUMA nodes with their memory and what
of it is available, huge pages, the overcommit rule, limits, mounts. -host reads
it back, here or elsewhere:

    {program} host export > host.json
    {program} -host host.json ...

With -host it prints what that description means, all defaults filled in."""


def run_host_command(program: str, words: list[str]) -> int:
    """Carry out `host WORDS...` and return the exit status."""
    from ..vm.errors import VMError
    from ..vm.host import open_host

    words = [word.removeprefix("-") if word.startswith("--") else word for word in words]
    if not words or "-help" in words or "-h" in words:
        print(USAGE.format(program=program), file=sys.stdout if words else sys.stderr)
        return 0 if words else 1
    source = words[2] if words[1:2] == ["-host"] and len(words) == 3 else None
    if words[0] != "export" or (len(words) > 1 and source is None):
        print(f"{program}: host {' '.join(words)}: expects export; see '{program} host -help'", file=sys.stderr)
        return 1
    import json

    try:
        print(json.dumps(open_host(source).describe().to_json(), indent=2))
    except (VMError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    return 0
