# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of flagcmd that CASA and Sheaf are compared on. run(flagcmd, folder) makes a.ms there and runs them one after the other; the
value of each is what it returned, the rows of FLAG_CMD, a digest of the flags, and the file it wrote."""

import hashlib
import os

from casacore.tables import table

import flagversions_cases as cases

COMMANDS = """# a comment
mode='manual' antenna='A00&A01' reason='bad one'

spw='0:0~2' scan='1,2' reason=edge
mode=clip clipminmax=[0.2, 1.5] correlation='ABS_ALL' reason="hot"
mode='quack'  quackinterval=5 autocorr=false
mode=manualflag timerange="1995/04/13/00:00:00~1995/04/13/00:00:01" reason='edge'
"""

ANTENNAS = """<?xml version='1.0' encoding='UTF-8'?>
<AntennaTable><Entity entityId="x"/>
<row><antennaId> Antenna_0 </antennaId><name>A00</name></row>
<row><antennaId>Antenna_1</antennaId><name> A01 </name></row>
<row><antennaId>Antenna_2</antennaId><name>A02</name></row>
</AntennaTable>
"""
WINDOWS = """<SpectralWindowTable>
<row><spectralWindowId>SpectralWindow_0</spectralWindowId><name>BB_1#W-01</name></row>
<row><spectralWindowId>SpectralWindow_1</spectralWindowId><name>WVR#NOMINAL</name></row>
<row><spectralWindowId>SpectralWindow_2</spectralWindowId><name>WVR#Antenna_3</name></row>
</SpectralWindowTable>
"""
ROW = "<row><flagId>Flag_{0}</flagId><startTime>{1}</startTime><endTime>{2}</endTime><reason>{3}</reason>{4}</row>\n"
START = 4979548160616181760
FLAGS = "<FlagTable>\n" + "".join(ROW.format(i, START + i * 10**9, START + i * 3 * 10**9 + 1234567, reason, rest)
                                  for i, (reason, rest) in enumerate([
    ("SUBREFLECTOR_ERROR", "<numAntenna>1</numAntenna><antennaId>1 1 Antenna_1</antennaId>"),
    ("Mount is off source", "<numAntenna>2</numAntenna><antennaId>1 2 Antenna_0 Antenna_2</antennaId>"),
    ("ALL", "<numAntenna>0</numAntenna><antennaId>1 0</antennaId>"),
    ("windows", "<numAntenna>1</numAntenna><antennaId>1 1 Antenna_0</antennaId><numSpectralWindow>3</numSpectralWindow>"
     "<spectralWindowId>1 3 SpectralWindow_0 SpectralWindow_1 SpectralWindow_2</spectralWindowId>"),
    ("pols", "<numAntenna>1</numAntenna><antennaId>1 1 Antenna_0</antennaId><numPolarizationType>1</numPolarizationType>"
     "<polarizationType>1 1 R</polarizationType>"),
    ("pols", "<numAntenna>1</numAntenna><antennaId>1 1 Antenna_0</antennaId><numPolarizationType>2</numPolarizationType>"
     "<polarizationType>1 2 X Y</polarizationType>")])) + "</FlagTable>\n"



def _antennas(*ids):
    return f"<numAntenna>{len(ids)}</numAntenna><antennaId>1 {len(ids)} {' '.join(f'Antenna_{i}' for i in ids)}</antennaId>"


def _windows(*ids):
    return (f"<numSpectralWindow>{len(ids)}</numSpectralWindow><spectralWindowId>1 {len(ids)} "
            f"{' '.join(f'SpectralWindow_{i}' for i in ids)}</spectralWindowId>")


def _receptors(*names):
    return (f"<numPolarizationType>{len(names)}</numPolarizationType><polarizationType>1 {len(names)} {' '.join(names)}"
            "</polarizationType>")


# Online flags that hit rows of a.ms: (reason, rest of the row, first and last second after its first TIME).
HITS = {
    "one": [("off source", _antennas(1), 0, 8)], "two": [("a &amp; b", _antennas(0, 2), 0, 30)], "all": [("all", _antennas(), -2, 9)],
    "without number": [("old", "<antennaId>Antenna_3</antennaId>", 0, 20)], "window": [("w", _antennas(1) + _windows(2), -1, 500)],
    "windows": [("w", _antennas(1, 3) + _windows(0, 2), 0, 50)], "window of all": [("w", _antennas() + _windows(2), 0, 20)],
    "R": [("p", _antennas(1) + _receptors("R"), 0, 50)], "L": [("p", _antennas(1, 3) + _receptors("L"), 0, 50)],
    "both": [("p", _antennas(1) + _receptors("L", "R"), 0, 50)],
    "window and L": [("p", _antennas(2) + _windows(2) + _receptors("L"), -1, 500)],
    "no windows": [("z", _antennas(2) + "<numSpectralWindow>0</numSpectralWindow><numPolarizationType>0</numPolarizationType>", 0, 90)],
    "edges": [("e", _antennas(0), 9.9995, 10.0005), ("f", _antennas(1), -0.0005, 0.5), ("g", _antennas(2), 10.0005, 20.0005),
              ("h", _antennas(3), -5, 10.0)]}


def hits(flagcmd, flagdata):
    """For each of HITS and a tbuff: what is extracted, written into a file, and flagged."""
    found = {}
    with table("a.ms", ack=False) as t:
        start = round(1e9 * float(t.getcol("TIME").min()))
    with table("a.ms/SPECTRAL_WINDOW", ack=False) as t:
        windows = "".join(f"<row><spectralWindowId>SpectralWindow_{i}</spectralWindowId><name>{n}</name></row>"
                          for i, n in enumerate(t.getcol("NAME")))
    for name, flags in HITS.items():
        os.makedirs("hits", exist_ok=True)
        row = "".join(ROW.format(i, start + round(1e9 * a), start + round(1e9 * b), reason, rest)
                      for i, (reason, rest, a, b) in enumerate(flags))
        more = ANTENNAS.replace("</AntennaTable>", "<row><antennaId>Antenna_3</antennaId><name>A03</name></row></AntennaTable>")
        for file, text in (("Flag", f"<FlagTable>{row}</FlagTable>"), ("Antenna", more),
                           ("SpectralWindow", f"<SpectralWindowTable>{windows}</SpectralWindowTable>")):
            with open(f"hits/{file}.xml", "w", encoding="ascii") as out:
                out.write(text)
        for tbuff in (0.0, 1.5):
            flagdata("a.ms", mode="unflag", flagbackup=False)
            flagcmd("a.ms", action="clear", clearall=True)
            xml = dict(inpmode="xml", inpfile="hits", tbuff=tbuff)
            value = plain(flagcmd("a.ms", action="extract", **xml))
            flagcmd("a.ms", flagbackup=False, savepars=True, **xml)
            result = {"value": value, "rows": rows("a.ms"), "flags": state("a.ms")}
            flagcmd("a.ms", action="list", savepars=True, outfile="h.txt", **xml)
            with open("h.txt", encoding="ascii") as text:
                result["file"] = text.read()
            found[f"{name}, {tbuff}"] = result
    return found


# name, arguments, the file that it writes
CALLS = [
    ("extract", dict(inpmode="list", inpfile="c.txt", action="extract"), None),
    ("extract by reason", dict(inpmode="list", inpfile="c.txt", action="extract", reason=["edge", "hot"]), None),
    ("extract of texts", dict(inpmode="list", inpfile=["antenna='A00' timerange='10:00:00~11:00:00'", "mode='unflag' scan='3'"],
                              action="extract"), None),
    ("extract of files", dict(inpmode="list", inpfile=["c.txt", "d.txt"], action="extract"), None),
    ("save in FLAG_CMD", dict(inpmode="list", inpfile="c.txt", action="list", savepars=True), None),
    ("save in a file", dict(inpmode="list", inpfile="c.txt", action="list", savepars=True, outfile="o.txt"), "o.txt"),
    ("save of a table", dict(action="list", savepars=True, outfile="p.txt", tablerows=[0, 3, 4]), "p.txt"),
    ("extract of a table", dict(action="extract", tablerows=[0, 2]), None),
    ("apply rows", dict(tablerows=[0, 2, 3], flagbackup=False), None),
    ("extract what is not applied", dict(action="extract"), None),
    ("unapply", dict(action="unapply", tablerows=[0], useapplied=True, flagbackup=False), None),
    ("unapply by reason", dict(action="unapply", reason=["edge", ""], useapplied=True, flagbackup=False), None),
    ("apply all", dict(useapplied=True, flagbackup=False), None),
    ("apply and save", dict(inpmode="list", inpfile=["mode='manual' antenna='A01' spw='0' reason='x y'"], savepars=True,
                            flagbackup=False), None),
    ("clear without clearall", dict(action="clear"), None),
    ("clear rows", dict(action="clear", clearall=True, rowlist=[1, 2]), None),
    ("clear", dict(action="clear", clearall=True), None),
    ("extract of xml", dict(inpmode="xml", inpfile="asdm", action="extract"), None),
    ("extract of xml, tbuff", dict(inpmode="xml", inpfile="asdm", action="extract", tbuff=1.5), None),
    ("save of xml", dict(inpmode="xml", inpfile="asdm", action="list", savepars=True), None),
]
# What CASA refuses, too: the text of the message is told by both.
REFUSED = {
    "nothing there": dict(action="list"),
    "reason": dict(inpmode="list", inpfile="c.txt", action="list", reason="no"),
    "overwrite": dict(inpmode="list", inpfile="c.txt", action="list", savepars=True, outfile="o.txt", overwrite=False),
    "unapply of a list": dict(inpmode="list", inpfile="c.txt", action="unapply"),
    "unapply of xml": dict(inpmode="xml", inpfile="asdm", action="unapply"),
}

# Commands as a telescope leaves them: for all that it observed, of which a.ms has a part.
UNKNOWN = ["antenna='A99&&*' timerange='1995/04/13/08:00:00~1995/04/13/12:00:00'", "antenna='A01&&*' scan='1'",
           "spw='7:0~3'", "field='NOBODY'", "antenna='A00;A88'", "spw='0:0~1' scan='3'", "scan='77'"]

# Parameters of flagdata whose command is saved with savepars.
SAVED = {
    "manual": {}, "selection": dict(correlation="RR", field="0", spw="0", antenna="A00", uvrange=">0m", scan="1", intent="*", array="0",
                                    timerange="09:00:00~10:00:00", observation="0", feed="0", autocorr=True, cmdreason="why not"),
    "manualflag": dict(mode="manualflag", field="0"),
    "clip": dict(mode="clip", clipminmax=[0, 5.5], correlation="ABS_ALL", datacolumn="data"),
    "clip, averaged": dict(mode="clip", channelavg=True, chanbin=4, timeavg=True, timebin="60s", spw="0", clipzeros=True),
    "quack": dict(mode="quack", quackinterval=5, quackmode="endb"),
    "tfcrop": dict(mode="tfcrop", spw="0"),
    "tfcrop with ntime": dict(mode="tfcrop", ntime=60.0, timecutoff=3.0, extendflags=False, usewindowstats="sum", halfwin=2),
    "rflag": dict(mode="rflag", spw="0"), "rflag with thresholds": dict(mode="rflag", timedev=0.5, freqdev=[[0, 0, 0.1]], winsize=5),
    "extend": dict(mode="extend", growtime=40.0), "shadow": dict(mode="shadow"),
    "shadow with antennas": dict(mode="shadow", tolerance=3.0, addantenna={"0": {"name": "x", "diameter": 25.0,
                                                                                "position": [1.0, 2.0, 3.0]}}),
    "elevation": dict(mode="elevation", lowerlimit=10.0), "unflag": dict(mode="unflag", spw="1"),
    "antint": dict(mode="antint", antint_ref_antenna="A00", minchanfrac=0.3), "summary": dict(mode="summary"),
    "list": dict(mode="list", inpfile="c.txt"), "list with reason": dict(mode="list", inpfile="c.txt", cmdreason="all"),
    "list with tbuff": dict(mode="list", inpfile=["timerange='1995/04/13/09:00:00~1995/04/13/09:00:10' antenna='A00'"], tbuff=1.5),
    "list with two": dict(mode="list", inpfile=["timerange='1995/04/13/09:00:00~1995/04/13/09:00:10' antenna='A00'"],
                          tbuff=[1.0, 0.25])}


def saved(flagdata, arguments):
    """What savepars writes into a file."""
    if os.path.exists("s.txt"):
        os.unlink("s.txt")
    flagdata("a.ms", action="", savepars=True, outfile="s.txt", **arguments)
    if not os.path.exists("s.txt"):
        return ""
    with open("s.txt", encoding="ascii") as text:
        return text.read()


def prepare():
    """a.ms and the files, in the working directory."""
    cases.make("a.ms", nant=4)
    for name, text in (("c.txt", COMMANDS), ("d.txt", "scan='2'\n"), ("asdm/Flag.xml", FLAGS), ("asdm/Antenna.xml", ANTENNAS),
                       ("asdm/SpectralWindow.xml", WINDOWS)):
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "w", encoding="ascii") as out:
            out.write(text)


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value


def rows(ms):
    with table(ms + "/FLAG_CMD", ack=False) as t:
        return [{c: plain(t.getcell(c, i)) for c in t.colnames()} for i in range(t.nrows())]


def state(ms):
    """A digest of all flags, and how many there are."""
    flags = cases.flags(ms)
    digest = hashlib.sha256(b"".join(bytes([r]) + (f or b"") for r, f in flags)).hexdigest()
    return {"digest": digest, "flag": sum(sum(f or b"") for _, f in flags), "flag_row": sum(r for r, _ in flags)}


def unknown(flagcmd):
    """Flags after FLAG_CMD with UNKNOWN was applied."""
    flagcmd("a.ms", action="clear", clearall=True)
    flagcmd("a.ms", inpmode="list", inpfile=UNKNOWN, action="list", savepars=True)
    flagcmd("a.ms", action="apply", flagbackup=False)
    return state("a.ms")


def call(flagcmd, arguments, written=None):
    value = plain(flagcmd("a.ms", **arguments))
    result = {"value": value, "rows": rows("a.ms"), "flags": state("a.ms")}
    if written:
        with open(written, encoding="ascii") as text:
            result["file"] = text.read()
    return result
