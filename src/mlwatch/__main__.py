"""`python -m mlwatch` is the command `mlwatch`."""

import sys

from mlwatch.cli import main

if __name__ == "__main__":
    sys.exit(main())
