# SPDX-License-Identifier: GPL-3.0-or-later
"""`python3 -m sheaf …` is the program `sheaf …`."""

import os
import sys


def find_program():
    """The program that belongs to this package: in the build tree, or in an installed one."""
    above = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    places = [os.path.join(above, "..", "bin", "sheaf"),
              os.path.join(above, "..", "..", "..", "bin", "sheaf")]
    for place in places:
        if os.access(place, os.X_OK):
            return os.path.normpath(place)
    sys.exit("sheaf: no program in " + " or ".join(os.path.normpath(place) for place in places))


if __name__ == "__main__":
    os.environ.setdefault("SHEAF_PYTHON", sys.executable)
    PROGRAM = find_program()
    os.execv(PROGRAM, [PROGRAM] + sys.argv[1:])
