"""Progress on standard error, where somebody sits in front of it."""

import sys

from rich.console import Console
from rich.progress import Progress


def bar() -> Progress:
    """Return a progress bar; silent where standard error is no terminal, so that logs and notebooks stay readable."""
    return Progress(console=Console(stderr=True), disable=not sys.stderr.isatty())
