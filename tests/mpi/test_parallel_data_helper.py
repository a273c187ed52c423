# SPDX-License-Identifier: GPL-3.0-or-later
"""ParallelDataHelper: a task of one's own that writes a new MS, over a Multi-MS, alone and on servers; partitionhelper."""

import json
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "python"))
tables = pytest.importorskip("casacore.tables")
import datahelper_cases as cases  # noqa: E402
import inputs  # noqa: E402
import simulate  # noqa: E402
from commands import run  # noqa: E402

TASKS = '''
import os
import sheaf
from sheaf import ParallelDataHelper

def mycopy(vis, outputvis, keepmms=True, scan="", field="", taql="", spw="", bad="", createmms=False, separationaxis="auto",
           numsubms="auto", none=False, kill=""):
    pdh = ParallelDataHelper("mycopy", locals())
    pdh.setupIO()
    if pdh.isMMSAndNotServer(vis) and keepmms:
        if not pdh.validateInputParams()["status"]:
            raise RuntimeError("Unable to continue with MMS processing")
        pdh.setupCluster("mycopy")
        return pdh.go()
    if createmms:
        pdh.setupCluster("mycopy")
        return pdh.go()
    if bad and outputvis.endswith(bad):
        raise ValueError("bad luck")
    if kill and outputvis.endswith("0001.ms") and not os.path.exists(kill):
        open(kill, "w").close()
        os._exit(1)
    if not none:
        sheaf.partition(vis=vis, outputvis=outputvis, createmms=False, scan=scan, field=field, taql=taql, spw=spw,
                        datacolumn="data", flagbackup=False)
'''
SCRIPT = """
import json, os, sheaf
from sheaf import ParallelDataHelper, ParallelTaskHelper, partitionhelper as ph
from mytasks import mycopy
def show(**values):
    print("@" + json.dumps(values), flush=True)
def error(*args, **named):
    try:
        return mycopy(*args, **named)
    except Exception as problem:
        return [type(problem).__name__, str(problem), isinstance(problem, OSError)]
def rows(name):
    return [[e["MS"], sum(s["nrows"] for s in e["scanId"].values()), sorted(e["scanId"])]
            for e in sheaf.listpartition(vis=name, createdict=True).values()]
def left():
    return sorted(n for n in os.listdir(".") if "sheaf-" in n or n.endswith(".data"))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("datahelper")
    (path / "mytasks.py").write_text(TASKS)
    head = f"import sheaf\nsheaf.partition(vis={inputs.ngc5921()!r}, outputvis='a.mms', separationaxis='scan', numsubms=3)\n"
    run("", ranks=1, head=head, cwd=path)
    return path


def session(folder, script, ranks):
    return run(script, ranks=ranks, head=SCRIPT, cwd=folder, PYTHONPATH=f"{os.environ['SHEAF_BUILD']}/python:{folder}")


def values_of(path, column="DATA"):
    with tables.table(str(path), ack=False) as t:
        with t.sort("TIME,ANTENNA1,ANTENNA2,FIELD_ID") as s:
            return s.getcol(column)


@pytest.mark.parametrize("ranks", (1, 3))
def test_multims_from_multims(folder, ranks):
    """22653 rows and the scans of each sub-MS are those of CASA's listpartition."""
    out = f"b{ranks}.mms"
    s = session(folder, f"""
        show(value=mycopy("a.mms", {out!r}), rows=rows({out!r}), axis=ph.axisType({out!r}), mms=ParallelDataHelper.isParallelMS({out!r}))
        show(exists=error("a.mms", {out!r}), none=error("nothing", "x"), blank=error("a.mms", " "))
        show(some=mycopy("a.mms", "s{ranks}.mms", scan="2,6"), some_rows=rows("s{ranks}.mms"))
        show(bad=error("a.mms", "bad.mms", bad="0001.ms"), empty=error("a.mms", "empty.mms", taql="ANTENNA1==99"))
        show(nothing=error("a.mms", "nothing.mms", none=True), left=left(), names=sorted(os.listdir(".")))
        """, ranks)
    assert s["value"] is True and s["mms"] is True and s["axis"] == "scan"
    assert [r[0] for r in s["rows"]] == [f"{out}.000{i}.ms" for i in range(3)] and sum(r[1] for r in s["rows"]) == 22653
    assert (values_of(folder / out) == values_of(folder / "a.mms")).all()
    assert s["exists"][2] and "already exists - will not overwrite" in s["exists"][1]
    assert s["none"][2] and "Visibility data set not found" in s["none"][1] and "specify outputvis" in s["blank"][1]
    assert [scans for _, _, scans in s["some_rows"]] == [[2], [6]]
    assert [name[-7:] for name, _, _ in s["some_rows"]] == ["0000.ms", "0001.ms"]  # without gaps
    assert "bad luck" in s["bad"][1] and s["empty"][0] == "EmptyError" and "without its output" in s["nothing"][1]
    assert s["left"] == [] and not {"bad.mms", "empty.mms", "nothing.mms"} & set(s["names"])


@pytest.mark.parametrize("ranks", (1, 3))
def test_multims_from_ms_is_partitions(folder, ranks):
    """The same rows in each sub-MS as the task partition, whose distribution is tested against CASA's."""
    for axis, n in (("scan", 3), ("auto", 4), ("baseline", 5)):
        out = f"c{ranks}{axis}.mms"
        s = session(folder, f"""
            show(value=mycopy({inputs.ngc5921()!r}, {out!r}, createmms=True, separationaxis={axis!r}, numsubms={n}), rows=rows({out!r}),
                 axis=ph.axisType({out!r}))
            sheaf.partition(vis={inputs.ngc5921()!r}, outputvis="p{out}", separationaxis={axis!r}, numsubms={n}, datacolumn="data")
            show(same=rows("p{out}"), check=sheaf.listpartition(vis="p{out}", verify=True) is not None)
            """, ranks)
        assert s["value"] is True and s["axis"] == {"auto": "scan,spw"}.get(axis, axis)
        assert [r[1:] for r in s["rows"]] == [r[1:] for r in s["same"]] and len(s["rows"]) == n
        assert (values_of(folder / out) == values_of(folder / f"p{out}")).all()


NUMBERING = """
import sheaf
from sheaf import ParallelDataHelper

def numbered(vis, outputvis, createmms=True, separationaxis="spw", numsubms="auto", spw="", scan="", ddistart=0, wrong=False):
    if createmms:
        pdh = ParallelDataHelper("numbered", locals())
        pdh.setupIO()
        pdh.setupCluster("numbered")
        return pdh.go()
    sheaf.partition(vis=vis, outputvis=outputvis, createmms=False, spw=spw, scan=scan, ddistart=ddistart + 9 * wrong, datacolumn="data", flagbackup=False)
"""


def contents(path):
    """What each row is about, with ids replaced by what they lead to: frequencies, correlations, data."""
    def column(name, subtable=""):
        with tables.table(os.path.join(path, subtable), ack=False) as t:
            return [t.getcell(name, row) for row in range(t.nrows())]
    frequencies, types = column("CHAN_FREQ", "SPECTRAL_WINDOW"), column("CORR_TYPE", "POLARIZATION")
    setups = [(frequencies[spw].tolist(), types[pol].tolist())
              for spw, pol in zip(column("SPECTRAL_WINDOW_ID", "DATA_DESCRIPTION"), column("POLARIZATION_ID", "DATA_DESCRIPTION"))]
    return sorted(zip(column("TIME"), column("ANTENNA1"), column("ANTENNA2"), [setups[d] for d in column("DATA_DESC_ID")],
                      [data.tolist() for data in column("DATA")]), key=repr)


def windows_of(path, subtable):
    """Rows about windows as texts, without order; ids of windows as frequencies."""
    with tables.table(os.path.join(path, "SPECTRAL_WINDOW"), ack=False) as t:
        first = [t.getcell("CHAN_FREQ", row)[0] for row in range(t.nrows())]
    rows = []
    with tables.table(os.path.join(path, subtable), ack=False) as t:
        for row in range(t.nrows()):
            cells = {name: t.getcell(name, row) for name in t.colnames() if t.iscelldefined(name, row)}
            if "SPECTRAL_WINDOW_ID" in cells and cells["SPECTRAL_WINDOW_ID"] >= 0:
                cells["SPECTRAL_WINDOW_ID"] = first[cells["SPECTRAL_WINDOW_ID"]]
            if "ASSOC_SPW_ID" in cells:
                cells["ASSOC_SPW_ID"] = [first[spw] for spw in cells["ASSOC_SPW_ID"]]
            rows.append(repr(sorted((name, getattr(cell, "tolist", lambda cell=cell: cell)()) for name, cell in cells.items())))
    return sorted(rows)


@pytest.mark.parametrize("ranks,task", ((1, "numbered"), (3, "numbered"), (1, "mycopy")))
def test_axis_spw(folder, ranks, task):
    """What comes of it is what partition makes, whether the job numbers its data descriptions (ddistart) or not; that is tested against CASA."""
    vis, out = folder / f"windows{ranks}{task}.ms", f"w{ranks}{task}.mms"
    simulate.simulate(str(vis), optional=True, feed_any=ranks == 3)
    (folder / "numbering.py").write_text(NUMBERING)
    s = session(folder, f"""
        from numbering import numbered
        show(value={task}({str(vis)!r}, {out!r}, createmms=True, separationaxis="spw", numsubms=3), rows=rows({out!r}), axis=ph.axisType({out!r}))
        sheaf.partition(vis={str(vis)!r}, outputvis="p{out}", separationaxis="spw", numsubms=3, datacolumn="data")
        show(same=rows("p{out}"))
        if {task!r} == "numbered":
            try:
                numbered({str(vis)!r}, "x.mms", numsubms=3, wrong=True)
            except sheaf.Error as problem:
                show(why=str(problem), left=left(), there=os.path.exists("x.mms"))
        """, ranks)
    assert s["value"] is True and s["axis"] == "spw" and [r[1:] for r in s["rows"]] == [r[1:] for r in s["same"]]
    assert contents(folder / out) == contents(folder / f"p{out}") == contents(vis)
    for subtable in ("SPECTRAL_WINDOW", "DATA_DESCRIPTION", "FEED", "SOURCE", "SYSCAL", "SYSPOWER", "CALDEVICE"):
        assert windows_of(folder / out, subtable) == windows_of(folder / f"p{out}", subtable), subtable
    for name, _, _ in s["rows"]:
        with tables.table(str(folder / out / "SUBMSS" / name / "SPECTRAL_WINDOW"), ack=False) as t:
            assert t.nrows() == len(windows_of(folder / f"p{out}", "SPECTRAL_WINDOW")) > 3
    if task == "numbered":
        assert "the job must number them from its parameter ddistart on" in s["why"] and s["left"] == [] and s["there"] is False


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected", "datahelper.json"), encoding="ascii") as _file:
    CASA = json.load(_file)


@pytest.fixture(scope="module")
def by_casas_names(folder):
    (folder / "usertask.py").write_text(cases.TASK)
    cases.make(str(folder / "in.ms"))
    return folder


@pytest.mark.parametrize("ranks", (1, 3))
def test_a_users_task_makes_what_it_makes_in_casa(by_casas_names, ranks):
    """expected/datahelper.json: CASA's ParallelDataHelper without servers (numsubms='auto': 8 there, else one for each server)."""
    folder = by_casas_names / f"by_casas_names{ranks}"
    folder.mkdir()
    cases.make(str(folder / "in.ms"))
    calls = [(name, dict(given)) for name, given in cases.CASES.items() if ranks == 1 or name != "spw_all"]
    run(f"""
        import json
        from usertask import usertask
        for name, arguments in {calls!r}:
            vis = arguments.pop("after", None)
            usertask(vis=f"{{vis}}.mms" if vis else "in.ms", outputvis=f"{{name}}.mms", **arguments)
        """, ranks=ranks, head=f"import sys\nsys.path.insert(0, {str(by_casas_names)!r})\n", cwd=folder)
    for name, _ in calls:
        found, expected = cases.describe(str(folder / f"{name}.mms")), CASA["made"][name]
        assert sorted(found) == sorted(expected), name
        for member in found:
            assert found[member] == expected[member], (name, member)


def test_what_the_jobs_get(by_casas_names):
    """Windows, channels, bins and ddistart of each job are CASA's; bins follow the order in which spw names windows."""
    s = run(f"""
        import json
        from usertask import jobs
        print("@" + json.dumps({{"jobs": [jobs("in.ms", **arguments) for arguments in {cases.JOBS!r}]}}))
        """, ranks=1, head="", cwd=by_casas_names)
    assert s["jobs"] == CASA["jobs"]


def test_refusals(folder):
    vis = inputs.ngc5921()
    s = session(folder, f"""
        show(axis=error({vis!r}, "x.mms", createmms=True, separationaxis="time"), n=error({vis!r}, "x.mms", createmms=True, numsubms=0),
             left=left(), there=os.path.exists("x.mms"))
        """, 1)
    assert "separationaxis='time'" in s["axis"][1] and "numsubms=0" in s["n"][1]
    assert s["left"] == [] and s["there"] is False


def test_a_server_that_dies(folder):
    s = session(folder, """
        show(value=mycopy("a.mms", "k.mms", kill=os.getcwd() + "/mark"), rows=sum(r[1] for r in rows("k.mms")), servers=sheaf.nservers())
        """, 3)
    assert s["value"] is True and s["rows"] == 22653 and s["servers"] == 1


def test_rules_for_the_input(folder):
    """behaviour of CASA 6.7's tasks: what they require of each sub-MS."""
    s = session(folder, """
        def rule(task, **args):
            return ParallelDataHelper(task, {"vis": "a.mms", "outputvis": "o", **args}).validateInputParams()
        base = dict(combinespws=False, nspw=1, timeaverage=False, timespan="", timebin="10s")
        show(plain=rule("hanningsmooth"), mst=rule("mstransform", **base), spws=rule("mstransform", **{**base, "combinespws": True}),
             scans=rule("mstransform", **{**base, "timeaverage": True, "timespan": "scan"}),
             one=rule("split", combine="scan", timebin="1min", scan="1"), split=rule("split", combine="scan", timebin="1min"),
             cvel=rule("cvel2", spw="0"))
        def regrid(**args):
            try:
                return ParallelDataHelper("cvel2", {"vis": "a.mms", "outputvis": "o", **args}).defaultRegridParams()
            except Exception as problem:
                return [type(problem).__name__, str(problem)]
        show(channel=regrid(mode="channel", start=3, width=2), velocity=regrid(mode="velocity", start=0, width=1, restfreq="1GHz"),
             rest=regrid(mode="velocity", start=0, width=1, restfreq=" "), unit=regrid(mode="frequency", start="1km/s", width=1),
             good=regrid(mode="frequency", start="1.4GHz", width="10kHz"))
        pdh = ParallelDataHelper("split", {"vis": "a.mms", "outputvis": "o", "width": [1, 2]})
        show(setup=pdh.setupParameters(a="", b=None, c=0, d=[], e="x"))
        try:
            pdh.validateChanBin()
        except ValueError as problem:
            show(bins=str(problem))
        """, 1)
    yes = {"status": True, "axis": ""}
    assert s["plain"] == s["mst"] == s["spws"] == s["cvel"] == yes
    assert s["scans"] == {"status": False, "axis": "spw"} and s["split"] == {"status": False, "axis": ""}
    assert s["one"] == {"status": False, "axis": ""}
    assert s["channel"] == ["3", "2"] and s["velocity"] == ["", ""] and s["good"] == ["1.4GHz", "10kHz"]
    assert s["rest"] == ["ParameterError", "Parameter restfreq must be set when mode='velocity'"]
    assert s["unit"] == ["TypeError", "Parameter start does not have valid frequency units"]
    assert s["setup"] == {"c": 0, "d": [], "e": "x"} and s["bins"].startswith("Number of width is different from the number of spw")


def test_partitionhelper(folder):
    """Numbers: CASA's listobs and listpartition of ngc5921."""
    s = session(folder, f"""
        import shutil
        d = sheaf.listpartition(vis="a.mms", createdict=True)
        vis = {inputs.ngc5921()!r}
        show(scans=ph.getMMSScans(d), list=ph.getScanList(vis), some=ph.getScanList(vis, {{"scan": "2~4"}}), spws=ph.getMMSSpwIds(d),
             nrows=[[ph.getMMSScanNrows(d, n), ph.getScanNrows(vis, n)] for n in range(1, 9)], spw=ph.getSpwIds(vis, 2),
             sub=ph.getSubMSSpwIds("a.mms.0001.ms", d), tables=sorted(ph.getSubtables(vis)), bad=ph.getMMSScans(5),
             summary=[e["MS"] for e in ph.getScanSpwSummary(ParallelTaskHelper.getReferencedMSs("a.mms")).values()], du=ph.getDiskUsage(vis))
        parts = ParallelTaskHelper.getReferencedMSs("a.mms")
        for i, part in enumerate(parts):
            shutil.copytree(os.path.realpath(part), f"part{{i}}.ms", symlinks=False)
        try:
            ph.makeMMS("made.mms", ["part0.ms", "nothing"])
        except OSError as problem:
            show(missing=str(problem), there=os.path.isdir("part0.ms"))
        show(made=
             ph.makeMMS("made.mms", ["part0.ms", "part1.ms"], True, [n for n in ph.getSubtables("part0.ms") if n not in ("SOURCE", "HISTORY")], "scan"),
             rows=rows("made.mms"), axis=ph.axisType("made.mms"), gone=os.path.exists("part0.ms"), left=left())
        show(set=ph.setAxisType("made.mms", "spw"), axis2=ph.axisType("made.mms"))
        shutil.copytree("made.mms", "agree.mms", symlinks=True)
        for name in ("FIELD", "SOURCE"):
            shutil.rmtree("agree.mms/SUBMSS/part1.ms/" + name) if name == "SOURCE" else os.remove("agree.mms/SUBMSS/part1.ms/" + name)
            shutil.copytree("agree.mms/SUBMSS/part0.ms/" + name, "agree.mms/SUBMSS/part1.ms/" + name)
        show(agree=ParallelTaskHelper.restoreSubtableAgreement("agree.mms"), real=os.path.islink("agree.mms/SUBMSS/part1.ms/FIELD"),
             link=os.readlink("agree.mms/SUBMSS/part1.ms/ANTENNA"), debris=[n for n in os.listdir("agree.mms/SUBMSS/part1.ms") if "sheaf" in n])
        """, 1)
    rows = [4509, 1890, 6048, 756, 1134, 6804, 1512]
    assert s["scans"] == [1, 2, 3, 4, 5, 6, 7] and s["list"] == list("1234567") and s["some"] == list("234")
    assert s["nrows"] == [[n, n] for n in rows] + [[0, 0]] and s["spws"] == s["spw"] == s["sub"] == [0] and s["bad"] == []
    assert {"ANTENNA", "FIELD", "HISTORY", "SPECTRAL_WINDOW"} <= set(s["tables"]) and "SORTED_TABLE" not in s["tables"]
    assert s["summary"] == [f"a.mms.000{i}.ms" for i in range(3)] and s["du"][-1] in "KMG"
    assert "no such MS" in s["missing"] and s["there"] is True
    assert s["made"] is True and [r[0] for r in s["rows"]] == ["part0.ms", "part1.ms"] and s["axis"] == "scan" and s["gone"] is False
    assert s["left"] == [] and s["set"] is True and s["axis2"] == "spw"
    assert s["agree"] is True and s["real"] is False and s["link"] == "../part0.ms/ANTENNA" and s["debris"] == []


def test_maps_and_folders(folder):
    """getPartitionMap: CASA's lists for ngc5921. convertToMMS does what CASA's says (that one ends in an AttributeError in Python 3)."""
    s = session(folder, f"""
        import shutil
        vis = {inputs.ngc5921()!r}
        show(two=ph.getPartitionMap(vis, 2), some=[[p["scanList"], p["ddiList"]] for p in ph.getPartitionMap(vis, 99, {{"scan": "1~3"}}).values()])
        def wrong(*args, **named):
            try:
                return ph.getPartitionMap(vis, *args, **named)
            except sheaf.Error as problem:
                return str(problem)
        show(axes=wrong(2, axis=["scan"]), plot=wrong(2, plotMode=1), n=wrong(0), none=wrong(2, {{"scan": "99"}}))
        os.mkdir("mss")
        shutil.copytree(vis, "mss/one.ms", symlinks=True)
        shutil.copytree("a.mms", "mss/two.mms", symlinks=True)
        open("mss/notes.txt", "w").write("x")
        open("mss/.hidden", "w").close()
        ph.convertToMMS(inpdir="mss", mmsdir="mmss", axis="scan", numsubms=2)
        show(made=sorted(os.listdir("mmss")), kinds=[ph.convertToMMS.isItMS(os.path.join("mmss", n)) for n in sorted(os.listdir("mmss"))],
             rows=[r[1] for r in rows("mmss/one.ms")], links=os.path.islink("mmss/two.mms/ANTENNA"), axis=ph.axisType("mmss/one.ms"))
        def refused(**named):
            try:
                ph.convertToMMS(**named)
            except sheaf.Error as problem:
                return str(problem)
        show(again=refused(inpdir="mss", mmsdir="mmss"), nothing=refused(), nowhere=refused(inpdir="nix"), same=refused(inpdir="mss", mmsdir="."))
        ph.convertToMMS(inpdir="mss", mmsdir="mmss", cleanup=True, numsubms=3)
        show(anew=len(rows("mmss/one.ms")))
        """, 1)
    assert s["two"]["0"] == {"scanList": [6, 2, 5, 4], "ddiList": [0] * 4, "fieldList": ["2", "1", "1", "1"],
                             "nVisList": [857304.0, 238140.0, 142884.0, 95256.0], "nVisTotal": 1333584.0,
                             "taql": "(DATA_DESC_ID==0 && (SCAN_NUMBER IN [6, 2, 5, 4]))"}
    assert s["some"] == [[[3], [0]], [[1], [0]], [[2], [0]]]
    assert "together only" in s["axes"] and "plots are not offered" in s["plot"] and "nsubms=0" in s["n"] and "matches no rows" in s["none"]
    assert s["made"] == ["notes.txt", "one.ms", "two.mms"] and s["kinds"] == [0, 3, 3] and sum(s["rows"]) == 22653 and len(s["rows"]) == 2
    assert s["links"] is True and s["axis"] == "scan" and s["anew"] == 3
    assert "already exists" in s["again"] and "must be given" in s["nothing"] and "no such folder" in s["nowhere"] and "none above it" in s["same"]
