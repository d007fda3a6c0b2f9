"""`python -m ramslot`: the command `ramslot`."""

from __future__ import annotations

import sys

from .monitor.main import main

sys.argv[0] = "ramslot"
sys.exit(main())
