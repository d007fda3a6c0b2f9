"""What the start-up path may load: a JSON-only session with valid requests never pays for the rest."""

from __future__ import annotations

import json
import subprocess
import sys

FORBIDDEN = {
    "argparse",
    "asyncio",
    "dataclasses",
    "importlib.resources",
    "inspect",
    "jsonschema",
    "logging",
    "pathlib",
    "prompt_toolkit",
    "pygments",
    "socket",
    "tempfile",
    "threading",
    "typing",
}

SESSION = """
import sys
before = set(sys.modules)
sys.argv = ["ramslot", *{arguments!r}]
from ramslot.monitor.main import main
status = main()
loaded = sorted(set(sys.modules) - before)
import json
print(json.dumps({{"status": status, "loaded": loaded}}), file=sys.stderr)
"""
REQUESTS = (
    '{"execute": "qmp_capabilities"}{"execute": "query-status"}'
    '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}}'
    '{"execute": "query-memdev"}{"execute": "object-del", "arguments": {"id": "m"}}{"execute": "quit"}'
)


def loaded_modules(arguments: list[str], requests: str) -> set[str]:
    """The modules that a session loads which the bare interpreter has not."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION.format(arguments=arguments)],
        input=requests,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "error" not in done.stdout
    outcome = json.loads(done.stderr.splitlines()[-1])
    assert outcome["status"] == 0
    return set(outcome["loaded"])


def test_a_valid_json_session_loads_nothing_heavy() -> None:
    loaded = loaded_modules(["-M", "pc", "-display", "none", "-qmp", "stdio"], REQUESTS)
    assert "ramslot.vm.machine" in loaded
    assert not loaded & FORBIDDEN


def test_a_script_loads_no_console() -> None:
    loaded = loaded_modules(["-M", "none", "-m", "16M", "-c", "info mtree -f", "-c", "info memslots"], "")
    assert not loaded & {"asyncio", "prompt_toolkit", "pygments", "jsonschema"}


def test_other_hosts_and_kvm_are_loaded_for_who_asks() -> None:
    loaded = loaded_modules(["-M", "none", "-c", "info status"], "")
    assert not loaded & {"ramslot.vm.host.kvm", "ramslot.vm.host.virtual", "ramslot.vm.host.description"}
    assert "ramslot.vm.host.linux" in loaded
