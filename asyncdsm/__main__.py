"""`python -m asyncdsm`."""

import sys

from asyncdsm.cli import main

sys.exit(main())
