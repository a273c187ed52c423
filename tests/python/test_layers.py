# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of docs/architecture.md that a compiler does not check: who includes whom, licence lines, sizes."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

# layer: the layers whose headers it may include, besides its own
MAY_INCLUDE = {
    "base": set(),
    "kernel": {"base"},
    "table": {"base"},
    "ms": {"base", "table"},
    "flag": {"base", "kernel", "table", "ms"},
    "task": {"base", "kernel", "ms", "flag"},
    "par": {"base", "ms", "task"},
    "py": {"base", "table", "ms", "kernel", "flag", "task", "par"},
    "cli": {"base", "table", "ms", "kernel", "flag", "task", "par", "py"},
}
# pattern of a foreign header: the layers that may include it
FOREIGN = {
    r"casacore/": {"table"},
    r"mpi\.h": {"par"},
    r"Python\.h|numpy/": {"py"},
    r"fftw3\.h": {"kernel"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
CODE = {".c", ".h", ".cc", ".hh"}
SCRIPTS = {".py", ".sh", ".cmake"}
LONGEST_FUNCTION = 150


def layer_faults(layer, text, layers=MAY_INCLUDE):
    """What is wrong with the includes of a file of that layer."""
    faults = []
    for bracket, header in INCLUDE.findall(text):
        for pattern, where in FOREIGN.items():
            if re.match(pattern, header) and layer not in where:
                faults.append(f"<{header}> is for {', '.join(sorted(where))} only")
        other = header.split("/")[0]
        if bracket == '"' and other in layers and other != layer and other not in layers[layer]:
            faults.append(f'"{header}" is not for {layer}')
        if bracket == '"' and header.endswith(".hh") and layer != "table":
            faults.append(f'"{header}" is C++, which stays in table')
    return faults


def repository_files():
    """Files of the repository: those that git knows of, or all but build folders where there is no git."""
    git = shutil.which("git")
    if git and (ROOT / ".git").exists():
        out = subprocess.run(
            [git, "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"],
            capture_output=True, check=False)
        if out.returncode == 0:
            return [p for name in out.stdout.decode().split("\0") if name and (p := ROOT / name).is_file()]
    return [p for p in ROOT.rglob("*") if p.is_file()
            and not any(part.startswith("build") or part == ".git" for part in p.relative_to(ROOT).parts)]


def is_source(path):
    if path.suffix in CODE | SCRIPTS or path.name == "CMakeLists.txt":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def test_layers_include_only_what_lies_below():
    faults = [f"{path.relative_to(ROOT)}: {fault}"
              for path in sorted(SOURCE.rglob("*")) if path.suffix in CODE
              for fault in layer_faults(path.relative_to(SOURCE).parts[0], path.read_text())]
    assert not faults, "\n".join(faults)


def test_every_layer_is_known():
    assert {p.name for p in SOURCE.iterdir() if p.is_dir()} <= set(MAY_INCLUDE)


@pytest.mark.parametrize("layer,text,faulty", [
    ("base", '#include "base/log.h"\n#include <stdio.h>', False),
    ("base", '#include "table/table.h"', True),
    ("ms", '#include "table/table.h"', False),
    ("task", '#include "table/table.h"', True),
    ("kernel", "#include <fftw3.h>", False),
    ("ms", "#include <fftw3.h>", True),
    ("ms", "  #  include <casacore/tables/Tables.h>", True),
    ("table", "#include <casacore/tables/Tables.h>", False),
    ("table", '#include "table/guard.hh"', False),
    ("ms", '#include "table/guard.hh"', True),
    ("task", "#include <mpi.h>", True),
    ("flag", '#include "table/tiles.h"', False),
    ("flag", '#include "task/task.h"', True),
    ("par", "#include <mpi.h>", False),
    ("par", "#include <Python.h>", True),
    ("cli", "#include <Python.h>", True),
    ("py", "#include <numpy/arrayobject.h>", False),
    ("task", '#include "par/par.h"', True),
    ("cli", '#include "par/par.h"', False),
])
def test_the_check_itself(layer, text, faulty):
    assert bool(layer_faults(layer, text)) == faulty


def test_every_source_names_its_licence():
    sources = [p for p in repository_files() if is_source(p)]
    assert len(sources) > 20
    bare = [str(p.relative_to(ROOT)) for p in sources
            if "SPDX-License-Identifier: GPL-3.0-or-later" not in p.read_text(errors="replace")[:400]]
    assert not bare, "no SPDX line: " + ", ".join(bare)


@pytest.mark.skipif(not shutil.which("ctags"), reason="ctags is not installed")
def test_functions_are_short():
    files = [str(p) for p in SOURCE.rglob("*") if p.suffix in {".c", ".cc"}]
    out = subprocess.run(["ctags", "-x", "--c-kinds=f", "--c++-kinds=f", "--fields=+ne",
                          "--_xformat=%{line} %{end} %F %N", *files], capture_output=True, text=True, check=False)
    if out.returncode != 0:
        pytest.skip("this ctags cannot tell where functions end")
    functions = [line.split(maxsplit=3) for line in out.stdout.splitlines()]
    sizes = [(int(end) - int(start) + 1, file, name) for start, end, file, name in functions if end.isdigit()]
    assert len(sizes) > 50
    long = [f"{file}: {name} has {n} lines" for n, file, name in sizes if n > LONGEST_FUNCTION]
    assert not long, "\n".join(long)
