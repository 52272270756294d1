"""Where the command line begins and ends: every failure is a sentence, and Ctrl-C is an end like others."""

import os
import sys
from io import TextIOWrapper

from food_vision.errors import Problem, StartupError
from food_vision.results import FoodVisionError

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process: with 1 and a sentence on standard error where it failed."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # File names may hold what the terminal's encoding cannot.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        # Here, so that Ctrl-C is caught while the packages are read.
        from food_vision.cli.commands import app

        app()
    except (Problem, StartupError, FoodVisionError, ImportError) as error:
        sys.exit(f"food-vision: {error}")
    except OSError as error:
        sys.exit(f"food-vision: {error.filename or 'standard output'}: {error.strerror}.")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        sys.exit(f"food-vision: a bug, {type(error).__name__}: {error}; `python -X dev -m food_vision` shows where.")


def _open_closed_streams() -> None:
    """Put the null device where a parent has closed standard streams: the next file opened would take their place."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(STANDARD_OUTPUT, "w")
    sys.stderr = sys.stderr or os.fdopen(STANDARD_ERROR, "w")
