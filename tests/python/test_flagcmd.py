# SPDX-License-Identifier: GPL-3.0-or-later
"""flagcmd against CASA (expected/flagcmd.json); bad commands, bad tables, pictures."""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from casacore.tables import table

import flagcmd_cases as cases
import flagversions_cases
import inputs
import sheaf

HERE = pathlib.Path(__file__).parent
EXPECTED = json.loads((HERE / "expected" / "flagcmd.json").read_text())


@pytest.fixture
def ms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases.prepare()
    return "a.ms"


@pytest.fixture
def untouched(ms):
    """What must hold after a call that fails."""
    before = cases.rows(ms), cases.state(ms)

    def check():
        assert (cases.rows(ms), cases.state(ms)) == before and not os.path.exists("a.ms.flagversions")
    return check


def test_calls_are_as_casas(ms):
    for name, arguments, written in cases.CALLS:
        assert cases.call(sheaf.flagcmd, arguments, written) == EXPECTED["results"][name], name


def test_online_flags_that_hit(ms):
    """Flag.xml as ALMA and the EVLA write it, with and without windows and receptors; half milliseconds are rounded as CASA does."""
    found = cases.hits(sheaf.flagcmd, sheaf.flagdata)
    for name, want in EXPECTED["hits"].items():
        assert found[name] == want, name
    assert sum(want["flags"]["flag"] > 0 for want in EXPECTED["hits"].values()) > 20


def test_online_flags_of_some_antennas_and_reasons(ms):
    """ants and reason (CASA fails): the flags are those of the commands that are left."""
    for name in ("Flag", "Antenna", "SpectralWindow"):
        assert os.path.exists(f"asdm/{name}.xml")
    cases.hits(sheaf.flagcmd, sheaf.flagdata)  # leaves those of "edges", and a.ms flagged by them
    for arguments, lines in (({"ants": "A01,A03"}, "fh"), ({"reason": ["g", "e"]}, "eg"), ({"ants": "A02, A01", "reason": "g"}, "g")):
        commands = sheaf.flagcmd(ms, inpmode="xml", inpfile="hits", action="extract", **arguments)
        assert "".join(c["reason"] for c in commands.values()) == lines
        state = []
        for how in ({"inpmode": "xml", "inpfile": "hits", **arguments},
                    {"inpmode": "list", "inpfile": [f"antenna='{c['antenna']}' timerange='{c['timerange']}'" for c in commands.values()]}):
            sheaf.flagdata(ms, mode="unflag", flagbackup=False)
            sheaf.flagcmd(ms, flagbackup=False, **how)
            state.append(cases.state(ms))
        assert state[0] == state[1]


def test_online_flags_that_end_before_they_begin(ms, capfd):
    """tbuff below 0 may leave nothing of a flag: it is left out, with one warning. CASA flags nothing then, too."""
    sheaf.flagdata(ms, mode="unflag", flagbackup=False)
    cases.hits(sheaf.flagcmd, sheaf.flagdata)
    sheaf.flagdata(ms, mode="unflag", flagbackup=False)
    capfd.readouterr()
    sheaf.flagcmd(ms, inpmode="xml", inpfile="hits", tbuff=-0.3, flagbackup=False)
    assert "2 of 4 commands" in capfd.readouterr().err
    found = cases.state(ms)
    sheaf.flagdata(ms, mode="unflag", flagbackup=False)
    sheaf.flagcmd(ms, inpmode="xml", inpfile="hits", tbuff=-0.3, flagbackup=False, reason=["g", "h"])
    assert cases.state(ms) == found


def test_refusals_are_casas(ms):
    pathlib.Path("o.txt").write_text("kept")
    for name, arguments in cases.REFUSED.items():
        with pytest.raises(sheaf.Error) as caught:
            sheaf.flagcmd(ms, **arguments)
        # CASA's message without "Error reading the input list: " and blanks at the end is in ours.
        assert EXPECTED["messages"][name].removeprefix("Error reading the input list: ").strip() in str(caught.value), name
    assert pathlib.Path("o.txt").read_text() == "kept"


def test_multi_ms(ms):
    """FLAG_CMD of a Multi-MS is that of its first sub-MS; flags are those of the MS."""
    sheaf.partition(ms, "a.mms", separationaxis="scan", numsubms=2, flagbackup=False)
    before = flagversions_cases.flags_by_key(ms)
    for path in (ms, "a.mms"):
        sheaf.flagcmd(path, inpmode="list", inpfile="c.txt", savepars=True)
        sheaf.flagcmd(path, action="unapply", tablerows=[1], useapplied=True)
    assert flagversions_cases.flags_by_key(ms) == flagversions_cases.flags_by_key("a.mms")
    assert cases.rows("a.mms") == cases.rows(ms) and [r["APPLIED"] for r in cases.rows(ms)] == [True, False, True, True, True]
    assert os.path.islink("a.mms/FLAG_CMD")
    names = [v["name"] for k, v in sheaf.flagmanager("a.mms").items() if k != "MS"]
    assert names == ["flagcmd_1", "flagcmd_2"]
    sheaf.flagmanager("a.mms", "restore", versionname="flagcmd_1")
    assert flagversions_cases.flags_by_key("a.mms") == before


def test_history(ms):
    def lines():
        with table(ms + "/HISTORY", ack=False) as t:
            return [m for o, m in zip(t.getcol("ORIGIN"), t.getcol("MESSAGE")) if o == "flagcmd"] if t.nrows() else []
    sheaf.flagcmd(ms, inpmode="list", inpfile="d.txt", action="list")
    assert lines() == []
    sheaf.flagcmd(ms, inpmode="list", inpfile="d.txt")
    assert lines()[0] == "taskname=flagcmd" and 'inpfile     = "d.txt"' in lines()


# ---- files of commands ----

FILES = {
    "line feeds": b"antenna='A01'\nscan='2'\n", "Windows": b"\xef\xbb\xbfantenna='A01'\r\nscan='2'\r\n", "Macintosh": b"antenna='A01'\rscan='2'\r",
    "no end": b"# c\n\n  \t\n  # c\nantenna='A01'\nscan='2'", "blanks": b"   antenna='A01'  \n\tscan=\"2\"\t\n",
    "UTF-8": "antenna='A01' reason='st\u00f6rung'\nscan='2'\n".encode(), "no quotes": b"antenna=A01\nscan=2,2\n",
    "bad quotes": b"antenna='A01\nscan='2\"\n"}


@pytest.mark.parametrize("name", FILES)
def test_files_of_commands(ms, name):
    """CASA 6.7 reads these likewise, but for blanks before #, and the mark at the beginning of Windows'
    files, which is part of the parameter's name there: flagcmd flags all data."""
    pathlib.Path("l.txt").write_bytes(FILES[name])
    sheaf.flagdata(ms, mode="unflag", flagbackup=False)
    sheaf.flagcmd(ms, inpmode="list", inpfile="l.txt", flagbackup=False)
    found = cases.state(ms)
    sheaf.flagdata(ms, mode="unflag", flagbackup=False)
    sheaf.flagdata(ms, antenna="A01", flagbackup=False)
    sheaf.flagdata(ms, scan="2", flagbackup=False)
    assert cases.state(ms) == found and 0 < found["flag"]


def test_a_file_that_is_not_utf8(ms, untouched):
    pathlib.Path("l.txt").write_bytes(b"scan='1'\nantenna='A01' reason='st\xf6rung'\n")
    with pytest.raises(sheaf.Error, match="l.txt, line 2: is not UTF-8 text"):
        sheaf.flagcmd(ms, inpmode="list", inpfile="l.txt")
    untouched()


@pytest.mark.parametrize("line", ["scan=2", "scan=[2]", "antenna=3 scan='1'", "mode=clip correlation=1"])
def test_numbers_where_texts_belong(ms, untouched, line):
    """CASA 6.7: "incorrect data type String used for field scan with type Int", and a ValueError of flagdata."""
    name = "correlation" if "corr" in line else line.split("=")[0]
    for call in ({"inpmode": "list"}, {"mode": "list"}):
        task = sheaf.flagcmd if "inpmode" in call else sheaf.flagdata
        with pytest.raises(ValueError, match=f"'{name}' must be a text in a list"):
            task(ms, inpfile=["scan='1'", line], **call)
    untouched()


def test_a_long_file(ms):
    lines = [f"antenna='A{i % 4:02d}' scan='{1 + i % 3}' reason='r{i}'" for i in range(100000)]
    pathlib.Path("l.txt").write_text("\n".join(lines))
    sheaf.flagcmd(ms, inpmode="list", inpfile="l.txt", action="list", savepars=True, outfile="o.txt", reason=["r5", "r99999"])
    assert pathlib.Path("o.txt").read_text().splitlines() == [lines[5], lines[99999]]


# ---- bad commands: nothing is applied, and file, line and word are told ----

BAD = {
    "antena='A00'": ["'antena' is not a valid flagdata parameter", "did you mean 'antenna'?"],
    "mode='bla'": ["'mode='bla''"],
    "antenna": ["'antenna': write name=value"],
    "mode='clip' clipminmax=[1,": ["'clipminmax=[1,'", "not a list"],
    "addantenna={'0': mode='shadow'": ["addantenna", "not a dictionary"],
    "mode='clip' clipminmax=3": ["'clipminmax=3'", "list of numbers"],
    "mode='shadow' tolerance='x'": ["'tolerance='x''", "must be a number"],
    "mode='clip' clipzeros=1": ["'clipzeros=1'", "must be a bool"],
    "spw='0' scan='1' spw='1'": ["'spw='1''", "twice"],
    "vis='b.ms'": ["'vis='b.ms''", "cannot be set in a command"],
    "display='data'": ["'display='data''", "cannot be set in a command"],
    "mode='list'": ["must not contain lists"],
    "reason=[1]": ["'reason=[1]'", "must be a text"],
}


@pytest.mark.parametrize("bad", BAD)
def test_one_bad_line(ms, untouched, bad):
    pathlib.Path("bad.txt").write_text(f"# {bad}\nantenna='A00'\n\n{bad}\nscan='1'\n")
    for words, where in ((["bad.txt"], "bad.txt, line 4"), (["antenna='A00'", bad, "scan='1'"], "inpfile[1]")):
        for task in (sheaf.flagcmd, sheaf.flagdata):
            with pytest.raises(sheaf.Error) as caught:
                task(ms, **{"inpmode" if task is sheaf.flagcmd else "mode": "list"}, inpfile=words)
            for text in [where] + BAD[bad]:
                assert text in str(caught.value)
    untouched()


@pytest.mark.parametrize("command", ["antenna='A99'", "field='77'", "spw='55'"])
def test_what_the_ms_lacks(ms, untouched, command):
    with pytest.raises(sheaf.Error, match="inpfile|bad.txt"):
        sheaf.flagcmd(ms, inpmode="list", inpfile=["scan='1'", command])
    untouched()


@pytest.mark.parametrize("call, text", [
    (dict(inpmode="list", inpfile="gone.txt"), "gone.txt"),
    (dict(inpmode="list", inpfile=["c.txt", "gone.txt"]), "gone.txt"),
    (dict(inpmode="list", inpfile=""), "inpfile"), (dict(inpmode="list", inpfile=[]), "Empty list"),
    (dict(inpmode="list", inpfile=["# only", ""]), "Empty list"),
    (dict(inpmode="table", inpfile=["c.txt"]), "one name"), (dict(inpmode="table", inpfile="gone.ms"), "gone.ms"),
    (dict(inpmode="xml", inpfile="."), "Flag.xml"), (dict(inpmode="xml", inpfile="asdm", ants="A00,B7"), "B7"),
    (dict(inpmode="bla"), "inpmode"), (dict(action="bla"), "action"), (dict(tablerows=[0, 12]), "12"),
    (dict(tablerows=[-1]), "-1"), (dict(action="clear", clearall=True, rowlist=[9]), "9"), (dict(vis="gone.ms"), "gone.ms"),
    (dict(tbuff="x"), "tbuff"), (dict(useapplied=1), "useapplied")])
def test_bad_calls(ms, call, text):
    sheaf.flagcmd(ms, inpmode="list", inpfile="c.txt", action="list", savepars=True)
    before = cases.rows(ms), cases.state(ms)
    with pytest.raises(sheaf.Error) as caught:
        sheaf.flagcmd(**{"vis": ms, **call})
    assert text in str(caught.value)
    assert (cases.rows(ms), cases.state(ms)) == before


def test_a_damaged_row_of_flag_cmd(ms):
    sheaf.flagcmd(ms, inpmode="list", inpfile="c.txt", action="list", savepars=True)
    with table(ms + "/FLAG_CMD", readonly=False, ack=False) as t:
        t.putcell("COMMAND", 1, "antena='A00'")
        t.putcell("COMMAND", 2, "")
    before = cases.state(ms)
    with pytest.raises(sheaf.Error, match="FLAG_CMD row 1: 'antena='A00''"):
        sheaf.flagcmd(ms)
    assert cases.state(ms) == before
    assert list(sheaf.flagcmd(ms, action="extract", tablerows=[0, 2, 3])) == [0, 3]


def test_flag_cmd_of_a_larger_ms(ms, capfd):
    """Commands for what the MS lacks are left out, with one warning, and stay unapplied (CASA marks them)."""
    fresh = cases.state(ms)
    assert cases.unknown(sheaf.flagcmd) == EXPECTED["unknown"] != fresh
    assert [r["APPLIED"] for r in cases.rows(ms)] == [False, True, False, False, False, True, True]
    said = capfd.readouterr().err
    assert said.count("name antennas, spectral windows or fields that are not there, or times") == 1
    assert "4 of 7 commands" in said and "FLAG_CMD row 0: antenna='A99&&*'" in said
    before = cases.state(ms)
    sheaf.flagcmd(ms)
    assert "nothing is flagged" in capfd.readouterr().err and cases.state(ms) == before
    with pytest.raises(sheaf.Error, match="antenna='A99"):
        sheaf.flagcmd(ms, inpmode="list", inpfile=cases.UNKNOWN)
    with table(ms + "/FLAG_CMD", readonly=False, ack=False) as t:
        t.putcell("COMMAND", 0, "antenna='A00&&&&'")
    with pytest.raises(sheaf.Error, match="FLAG_CMD row 0: antenna='A00&&&&': .*Parse error"):
        sheaf.flagcmd(ms)


@pytest.mark.parametrize("cut", ["</endTime>", "</row>", "Antenna_1</antennaId>", "1 2 Antenna_0"])
def test_damaged_xml(ms, cut):
    text = pathlib.Path("asdm/Flag.xml").read_text()
    pathlib.Path("asdm/Flag.xml").write_text(text.replace(cut, "", 1))
    with pytest.raises(sheaf.Error, match="Error while parsing XML: asdm"):
        sheaf.flagcmd(ms, inpmode="xml", inpfile="asdm", action="extract")


def test_xml_by_antenna_and_reason(ms):
    """CASA fails here."""
    def found(**more):
        value = sheaf.flagcmd(ms, inpmode="xml", inpfile="asdm", action="extract", **more)
        return {k: (v["antenna"], v["reason"]) for k, v in value.items()}
    assert found(ants="A02") == {1: ("A02", "Mount_is_off_source"), 2: ("A02", "ALL")}
    assert found(ants="A01, A02", reason=["SUBREFLECTOR_ERROR", "Mount_is_off_source"]) == {
        0: ("A01&&*", "SUBREFLECTOR_ERROR"), 1: ("A02", "Mount_is_off_source")}
    assert set(found(reason="pols")) == {4, 5}


@pytest.mark.parametrize("name", cases.SAVED)
def test_saved_commands_are_casas(ms, name):
    """But for two that CASA cannot read again: ntime=0.0 (whole scans) and writeflags=False."""
    want = EXPECTED["saved"][name].replace("ntime=0.0 ", "").replace("writeflags=False ", "")
    assert cases.saved(sheaf.flagdata, cases.SAVED[name]) == want


def test_saved_in_flag_cmd(ms):
    sheaf.flagdata(ms, antenna="A00", savepars=True, cmdreason="x y")
    sheaf.flagdata(ms, mode="list", inpfile="c.txt", savepars=True)
    sheaf.flagdata(ms, mode="clip", clipminmax=[0, 9], savepars=True, action="calculate")
    sheaf.flagdata(ms, mode="summary", savepars=True)
    rows = cases.rows(ms)
    assert [r["APPLIED"] for r in rows] == [True] * 6 + [False] and rows[0]["REASON"] == "x y"
    assert rows[0]["COMMAND"] == "antenna='A00' autocorr=False mode='manual'"
    assert [r["REASON"] for r in rows[1:]] == ["bad one", "edge", "hot", "", "edge", ""]
    sheaf.flagcmd(ms, useapplied=True)  # what was saved can be applied
    pathlib.Path("o.txt").write_text("kept")
    before = cases.state(ms)
    with pytest.raises(sheaf.ExistsError, match="Remove o.txt"):
        sheaf.flagdata(ms, antenna="A01", savepars=True, outfile="o.txt", overwrite=False)
    assert cases.state(ms) == before and pathlib.Path("o.txt").read_text() == "kept"


def test_tbuff_over_midnight(ms):
    with pytest.raises(sheaf.Error, match="inpfile.0.: tbuff.*another day"):
        sheaf.flagdata(ms, mode="list", inpfile=["timerange='00:00:01~00:00:10'"], tbuff=5.0)
    sheaf.flagdata(ms, mode="list", inpfile=["timerange='1996/01/01/00:00:01~1996/12/31/23:59:59'"], tbuff=5.0, action="",
                   savepars=True, outfile="o.txt")
    assert pathlib.Path("o.txt").read_text() == "timerange='1995/12/31/23:59:56.000~1997/01/01/00:00:04.000'\n"


def test_read_only(ms, ordinary):
    path = ordinary.give(shutil.copytree(ms, os.path.join(ordinary.folder, "a.ms")))
    words = [ordinary.sheaf, "flagcmd", "vis=" + path, "inpmode=list", "inpfile=[\"scan='1'\"]", "savepars=True"]
    before = cases.state(path)
    os.chmod(path, 0o555)
    done = subprocess.run(words, text=True, capture_output=True, **ordinary.options)
    assert done.returncode == 1 and "a.ms cannot be written to: Permission denied" in done.stderr
    assert cases.state(path) == before and cases.rows(path) == []


# ---- pictures ----

PNG = b"\x89PNG\r\n\x1a\n"


def test_plot(ms):
    pytest.importorskip("matplotlib")
    sheaf.flagcmd(ms, inpmode="list", inpfile="c.txt", action="list", savepars=True)
    assert sheaf.flagcmd(ms, action="plot", plotfile="p.png") == {"plotfiles": ["p.png"]}
    assert pathlib.Path("p.png").read_bytes().startswith(PNG)
    assert sheaf.flagcmd(ms, inpmode="xml", inpfile="asdm", action="plot") == {"plotfiles": ["a.ms.flagcmd.png"]}
    assert pathlib.Path("a.ms.flagcmd.png").read_bytes().startswith(PNG)
    assert sorted(n for n in os.listdir(".") if n.startswith(".")) == []


@pytest.mark.parametrize("n, pages", [(1, 1), (28, 1), (29, 2), (56, 2), (57, 3), (100, 4)])
def test_plot_in_pages(ms, n, pages):
    """As CASA 6.7.0: flagcmd(vis, inpmode='list', inpfile=["antenna='ea000' reason='none0'", …], action='plot', plotfile='p.png')."""
    pytest.importorskip("matplotlib")
    commands = [f"antenna='ea{i:03d}' reason='none{i % 5}'" for i in range(n)]
    names = ["p.png"] if pages == 1 else [f"p-{k + 1:03d}.png" for k in range(pages)]
    assert sheaf.flagcmd(ms, inpmode="list", inpfile=commands, action="plot", plotfile="p.png") == {"plotfiles": names}
    assert sorted(p.name for p in pathlib.Path(".").glob("p*.png")) == names
    assert all(pathlib.Path(name).read_bytes().startswith(PNG) for name in names)


def test_one_row_stands_for_a_list(ms):
    """CASA takes tablerows=0 as [0]: its tests test_unapply::test_uquack and others say so."""
    sheaf.flagcmd(ms, inpmode="list", inpfile=["scan='1'", "scan='2'"], action="list", savepars=True)
    assert sheaf.flagcmd(ms, action="extract", tablerows=1) == sheaf.flagcmd(ms, action="extract", tablerows=[1])
    with pytest.raises(sheaf.ParameterError, match="tablerows"):
        sheaf.flagcmd(ms, action="extract", tablerows=1.5)


# Flag.xml: reason, antennas, begin and end in seconds after the first row of NGC 5921.
ONLINE = [("FOCUS", [0], 10, 40), ("SUBREFLECTOR", [1, 2], -500, 30), ("OFF", [], 100, 200), ("FOCUS", [0], 1000, 1500),
          ("OFF", [0], 1100, 1200), ("OUTSIDE", [1], -900, -800), ("LATE", [3], 8000, 90000), ("X1", [4], 50, 60), ("X2", [4], 50, 60)]
# The lines of CASA's picture: antenna, first and last second, reason by colour and legend. Recorded in CASA 6.7.0 by
#     flagcmd('ngc5921.ms', inpmode='xml', inpfile='online', action='plot', plotfile='p.png')
# with matplotlib.figure.Figure.savefig replaced by one that prints ax.lines, and the labels of the axis. CASA cuts flags to the time of
# the MS, and leaves out those outside. A flag of several antennas is at '2' and '3', one of a single antenna at '1&&*'.
DRAWN = [("1", 10, 40, "FOCUS"), ("1", 1000, 1500, "FOCUS"), ("1", 1100, 1200, "OFF"), ("2", 0, 30, "SUBREFLECTOR"),
         ("3", 0, 30, "SUBREFLECTOR"), ("5", 50, 60, "X1"), ("5", 50, 60, "X2"), ("All", 100, 200, "OFF")]
BARS = """
import json, sys
if any("flagplots" in word for word in sys.orig_argv):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import dates, figure

    def save(self, *words, **more):
        axis = self.axes[0]
        names = [label.get_text() for label in axis.get_yticklabels()]
        bars = [(names[round(p.get_y() + p.get_height() / 2)], p.get_x() * 86400, (p.get_x() + p.get_width()) * 86400, c.get_label())
                for c in axis.containers for p in c.patches]
        with open("bars.json", "w") as out:
            json.dump(bars, out)
        savefig(self, *words, **more)
    savefig, figure.Figure.savefig = figure.Figure.savefig, save
"""


def test_online_flags_are_drawn_where_casa_draws_them(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    with table(inputs.ngc5921(), ack=False) as t:
        first, last = t.getcell("TIME", 0), t.getcell("TIME", t.nrows() - 1)
    (tmp_path / "online").mkdir()
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(BARS)
    flags = "".join(f"<row><flagId>Flag_{i}</flagId><startTime>{int((first + begin) * 1e9)}</startTime><endTime>{int((first + end) * 1e9)}"
                    f"</endTime><reason>{reason}</reason><numAntenna>{len(ants)}</numAntenna><antennaId>1 {len(ants)}"
                    f"{''.join(f' Antenna_{k}' for k in ants)}</antennaId></row>\n" for i, (reason, ants, begin, end) in enumerate(ONLINE))
    antennas = "".join(f"<row><antennaId>Antenna_{k}</antennaId><name>{k + 1}</name></row>\n" for k in range(6))
    (tmp_path / "online" / "Flag.xml").write_text(f"<FlagTable>\n{flags}</FlagTable>\n")
    (tmp_path / "online" / "Antenna.xml").write_text(f"<AntennaTable>\n{antennas}</AntennaTable>\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'patch'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    shutil.copytree(inputs.ngc5921(), "n.ms")
    assert sheaf.flagcmd("n.ms", inpmode="xml", inpfile="online", action="plot", plotfile="p.png") == {"plotfiles": ["p.png"]}
    epoch = 40587 * 86400.0  # days of matplotlib begin in 1970
    cut = [(name, max(begin + epoch, first) - first, min(end + epoch, last) - first, reason)
           for name, begin, end, reason in json.loads(pathlib.Path("bars.json").read_text())]
    drawn = sorted(bar for bar in cut if bar[1] < bar[2])
    assert [(bar[0], bar[3]) for bar in drawn] == [(bar[0], bar[3]) for bar in sorted(DRAWN)]
    assert np.allclose([bar[1:3] for bar in drawn], [bar[1:3] for bar in sorted(DRAWN)], rtol=0, atol=2e-3)


def test_plot_without_matplotlib(ms, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "matplotlib.py").write_text("raise ImportError('none here')\n")
    done = subprocess.run([os.path.join(os.environ["SHEAF_BUILD"], "bin", "sheaf"), "--nologfile", "flagcmd", "vis=a.ms",
                           "inpmode=list", "inpfile=c.txt", "action=plot", "plotfile=p.png"], text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=str(tmp_path / "without")))
    assert done.returncode == 1 and "install the package python3-matplotlib" in done.stderr
    assert not os.path.exists("p.png")


@pytest.mark.parametrize("kind", ["ms", "mms"])
def test_display(ms, kind):
    pytest.importorskip("matplotlib")
    path = ms
    if kind == "mms":
        path = "a.mms"
        sheaf.partition(ms, path, separationaxis="scan", numsubms=2, flagbackup=False)
    before = cases.state(path)
    sheaf.flagdata(path, mode="clip", clipminmax=[0.2, 1.5], display="both", displaydir="pictures")
    assert cases.state(path)["flag"] > before["flag"]
    names = sorted(os.listdir("pictures"))
    assert names[0] == "report.png" and len(names) == 6 and names[1] == "scan1_field0_spw0.png"
    assert all(pathlib.Path("pictures", n).read_bytes().startswith(PNG) for n in names)
    sheaf.flagdata(path, scan="1", display="data")
    assert sorted(os.listdir(path + ".flagplots")) == ["scan1_field0_spw0.png", "scan1_field0_spw2.png"]


def test_display_needs_matplotlib_before_flags_change(ms, untouched, tmp_path):
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "matplotlib.py").write_text("raise ImportError('none here')\n")
    done = subprocess.run([os.path.join(os.environ["SHEAF_BUILD"], "bin", "sheaf"), "--nologfile", "flagdata", "vis=a.ms",
                           "display=data"], text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=str(tmp_path / "without")))
    assert done.returncode == 1 and "install the package python3-matplotlib" in done.stderr
    untouched()
    assert sheaf.flagdata(ms, display="none", scan="1") == {}
    with pytest.raises(sheaf.Error, match="display='bla'"):
        sheaf.flagdata(ms, display="bla")
