"""`python -m selfremaster` is the command `selfremaster`."""

import sys

from selfremaster.cli import main

if __name__ == "__main__":
    sys.exit(main())
