# SPDX-License-Identifier: GPL-3.0-or-later
"""importuvfits against CASA's (expected/obs_*.json, made by expected/make_obs.py), and on bad input."""

import gzip
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

import sheaf
import uvfits_cases
from runs import LIMIT_S

pytest.importorskip("casacore.tables")
from casacore.tables import table  # noqa: E402
from ms_digest import describe, positions  # noqa: E402

EXPECTED = pathlib.Path(__file__).parent / "expected"


@pytest.fixture(scope="module")
def fits():
    return uvfits_cases.unpacked()


@pytest.fixture(scope="module")
def content(fits):
    return pathlib.Path(fits).read_bytes()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def left_over(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix not in (".fits", ".gz", ".xz"))


# ---- against CASA ----

def test_every_column_is_casas(fits):
    assert sheaf.importuvfits(fits, "a.ms") is None
    ours, casas = describe("a.ms"), json.loads((EXPECTED / "obs_import.json").read_text())
    history, theirs = ours.pop("HISTORY"), casas.pop("HISTORY")
    assert ours == casas
    assert len(history["messages"]) == len(theirs["messages"])
    for key in ("origin", "priority", "observation"):
        assert history[key] == theirs[key]
    assert history["messages"][:-5] == theirs["messages"][:-5]
    assert history["messages"][-5] == "taskname=importuvfits"
    assert history["messages"][-4].startswith("version: sheaf ")
    assert history["messages"][-3:] == [f'fitsfile    = "{fits}"', 'vis         = "a.ms"', 'antnamescheme = "old"']
    info = pathlib.Path("a.ms/table.info").read_text()
    assert info.startswith("Type = Measurement Set\nSubType = UVFITS\n")


@pytest.mark.parametrize("case,scheme", uvfits_cases.CASES)
def test_antennas_are_casas(content, case, scheme):
    pathlib.Path("case.fits").write_bytes(uvfits_cases.change(content, case))
    sheaf.importuvfits("case.fits", "a.ms", antnamescheme=scheme)
    ours = positions("a.ms")
    theirs = json.loads((EXPECTED / "obs_antennas.json").read_text())[f"{case}_{scheme}"]
    assert ours["name"] == theirs["name"]
    for a, b in zip(ours["position"] + [ours["array"]], theirs["position"] + [theirs["array"]]):
        assert a == pytest.approx(b, abs=1e-6)


# ---- bad input ----

def refuse(fitsfile, vis="a.ms", **more):
    with pytest.raises(Exception) as failure:
        sheaf.importuvfits(fitsfile, vis, **more)
    return str(failure.value)


@pytest.mark.parametrize("size", [0, 1, 79, 2880, 5760, 20000, 1000000, 35075519, 35075520, 35075521, 35080000,
                                  35090000, 35095679, 35098559])
def test_truncated(content, folder, size):
    pathlib.Path("t.fits").write_bytes(content[:size])
    text = refuse("t.fits")
    assert "t.fits" in text and ("truncated" in text or "is not a FITS file" in text or "antenna table" in text)
    assert left_over(folder) == []


def test_cut_before_the_source_table(content, folder, capfd):
    """Nothing in such a file says that it was cut, but visibilities refer to sources that are not there."""
    at = content.index(b"EXTNAME = 'AIPS SU") // 2880 * 2880
    pathlib.Path("t.fits").write_bytes(content[:at])
    sheaf.importuvfits("t.fits", "a.ms")
    assert "there is no source table" in capfd.readouterr().err


def test_compressed(content, folder):
    pathlib.Path("a.fits.gz").write_bytes(gzip.compress(content[:100000]))
    assert "compressed (gzip)" in refuse("a.fits.gz") and "gunzip" in refuse("a.fits.gz")
    assert "compressed (xz)" in refuse(str(uvfits_cases.PACKED))
    assert left_over(folder) == []


def card(text):
    return text.encode().ljust(80)


def header(*cards):
    return b"".join(card(c) for c in cards + ("END",)).ljust(2880)


@pytest.mark.parametrize("content,why", [
    (b"hello", "is not a FITS file"),
    (header("SIMPLE  =   T", "BITPIX  =  8", "NAXIS   =  2", "NAXIS1  =  10", "NAXIS2  =  10") + bytes(2880),
     "FITS image"),
    (header("SIMPLE  =   T", "BITPIX  =  8", "NAXIS   =  0"), "no visibilities"),
    (header("SIMPLE  =   T", "BITPIX  =  8", "NAXIS   =  0") +
     header("XTENSION= 'BINTABLE'", "BITPIX  =  8", "NAXIS   =  2", "NAXIS1  =  0", "NAXIS2  =  0",
            "EXTNAME = 'ARRAY_GEOMETRY'"), "FITS-IDI"),
    (header("SIMPLE  =   T", "BITPIX  =  -32", "NAXIS   =  2", "NAXIS1  =  0", "NAXIS2  =  3", "GROUPS  =   T",
            "PCOUNT  = 1", "GCOUNT  =  0"), "GCOUNT"),
    (header("SIMPLE  =   T", "BITPIX  =  -32", "NAXIS   =  2", "NAXIS1  =  0", "NAXIS2  =  3", "GROUPS  =   T",
            "PCOUNT  = 1", "GCOUNT  =  5") + bytes(2880), "antenna table"),
    (header("SIMPLE  =   T", "BITPIX  =  -32", "NAXIS   =  2", "NAXIS1  =  0", "NAXIS2  =  300000000",
            "GROUPS  =   T", "PCOUNT  = 9", "GCOUNT  =  2000000000"), "truncated"),
])
def test_other_files(folder, content, why):
    pathlib.Path("t.fits").write_bytes(content)
    assert why in refuse("t.fits")
    assert left_over(folder) == []


def test_malformed_visibilities_do_not_end_the_session(content, folder):
    """Headers whose sizes hold but whose axes make no sense."""
    for name in (b"CTYPE2  = 'COMPLEX '", b"CTYPE3  = 'STOKES  '", b"CTYPE4  = 'FREQ    '", b"PTYPE1  = 'UU      '"):
        at = content.index(name)
        changed = content[:at] + b"CTYPE9  = 'NOTHING '" + content[at + 20:]
        pathlib.Path("t.fits").write_bytes(changed)
        assert "t.fits" in refuse("t.fits")
        assert left_over(folder) == []


def test_names(fits, folder):
    assert "no such file" in refuse("nosuch.fits")
    os.mkdir("folder")
    assert "is not a file" in refuse("folder")
    assert "fitsfile" in refuse("")
    assert "vis" in refuse(fits, "")
    assert "already exists" in refuse(fits, "folder")
    os.symlink("nowhere", "link")
    assert "already exists" in refuse(fits, "link")
    assert "no directory" in refuse(fits, "nodir/a.ms")
    assert "old, new" in refuse(fits, "a.ms", antnamescheme="newer")
    assert left_over(folder) == ["folder", "link"]


def test_no_permission(fits, ordinary):
    copy = ordinary.give(shutil.copy(fits, ordinary.folder))
    os.mkdir(ordinary.folder + "/closed", 0o555)

    def refused():
        done = subprocess.run([ordinary.sheaf, "importuvfits", "fitsfile=" + copy, "vis=closed/a.ms"], cwd=ordinary.folder,
                              capture_output=True, text=True, timeout=LIMIT_S, **ordinary.options)
        return done.returncode == 1 and "Permission denied" in done.stderr
    assert refused()
    os.rename(ordinary.folder + "/closed", ordinary.folder + "/open")
    os.mkdir(ordinary.folder + "/closed")
    ordinary.give(ordinary.folder + "/closed")
    os.chmod(copy, 0)
    assert refused() and os.listdir(ordinary.folder + "/closed") == []


def run(code, **more):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            **more)


def test_full_disk(fits, folder):
    """A file size limit stands for the disk: casacore would end the process."""
    code = f"import sheaf\ntry: sheaf.importuvfits({fits!r}, 'a.ms')\nexcept Exception as x: print('refused', x)"
    limit = (10_000_000, 10_000_000)
    done = run(code, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    out, err = done.communicate(timeout=LIMIT_S)
    assert done.returncode == 0 and out.startswith("refused"), err
    assert not [n for n in left_over(folder) if not n.endswith(".log")]


def test_killed(fits, folder):
    """Killed at any moment there is the whole MS or none, and the next run clears what was left."""
    code = f"import sheaf\nprint('go', flush=True)\nsheaf.importuvfits({fits!r}, 'a.ms')"
    for wait in (0.02, 0.1, 0.2):
        process = run(code)
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=LIMIT_S)
        if os.path.exists("a.ms"):
            break
    if os.path.exists("a.ms"):
        assert table("a.ms", ack=False).nrows() == 22653
    else:
        sheaf.importuvfits(fits, "a.ms")
    assert [n for n in left_over(folder) if not n.endswith(".log")] == ["a.ms"]
