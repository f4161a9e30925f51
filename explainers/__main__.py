"""`python -m explainers`."""

import sys

from .commands.line import main

sys.exit(main())
