# SPDX-License-Identifier: GPL-3.0-or-later
"""flagdata on NGC 5921 against flags and reports of CASA (flagdata_cases.py); invariants; bad input."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from casacore.tables import table

import flagdata_cases as cases
import inputs
import sheaf
import simulate

HERE = pathlib.Path(__file__).parent
EXPECTED = json.loads((HERE / "expected" / "flagdata.json").read_text())["cases"]


@pytest.fixture
def ms(tmp_path, monkeypatch):
    to = tmp_path / "ngc.ms"
    shutil.copytree(inputs.ngc5921(), to)
    monkeypatch.chdir(tmp_path)
    return str(to)


def flags(path):
    with table(path, ack=False) as t:
        return t.getcol("FLAG"), t.getcol("FLAG_ROW")


@pytest.mark.parametrize("name", sorted(cases.CASES))
def test_flags_and_reports_are_those_of_casa(ms, name):
    for step in cases.steps(name):
        report = sheaf.flagdata(vis=ms, flagbackup=False, **step)
    want = dict(EXPECTED[name])
    told = want.pop("report")
    assert cases.digest(*flags(ms)) == want
    report = cases.plain(report)
    if isinstance(told, str):
        report = hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
    assert report == told


@pytest.mark.parametrize("name", ["tfcrop", "tfcrop-pieces", "tfcrop-average", "rflag-given", "extend-near"])
def test_little_memory_changes_nothing(ms, name):
    """Rows are then put in order in files, and buffers are cut into more pieces."""
    script = "import json, sys, sheaf\nfor step in json.loads(sys.argv[2]): sheaf.flagdata(vis=sys.argv[1], flagbackup=False, **step)"
    done = subprocess.run([sys.executable, "-c", script, ms, json.dumps(cases.steps(name))], check=False,
                          env=dict(os.environ, SHEAF_MEMORY="64M"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert cases.digest(*flags(ms)) == {key: EXPECTED[name][key] for key in ("flags", "rows", "sha256")}


def test_apply_never_clears_and_unflag_never_sets(ms):
    rng = np.random.default_rng(1)
    with table(ms, readonly=False, ack=False) as t:
        t.putcol("FLAG", rng.random(t.getcol("FLAG").shape) < 0.3)
    before = flags(ms)[0]
    for par in ({"mode": "tfcrop"}, {"mode": "rflag"}, {"mode": "extend"}, {"mode": "clip", "clipminmax": [0, 1]},
                {"mode": "quack"}, {"mode": "manual", "scan": "1"}):
        sheaf.flagdata(vis=ms, flagbackup=False, **par)
        after = flags(ms)[0]
        assert not np.any(before & ~after)
        before = after
    sheaf.flagdata(vis=ms, mode="unflag", antenna="5", flagbackup=False)
    after = flags(ms)[0]
    assert not np.any(after & ~before) and np.any(before & ~after)


def test_backup_has_the_flags_before(ms):
    before = flags(ms)
    sheaf.flagdata(vis=ms, mode="manual", scan="2")
    assert flags(ms)[0].sum() > before[0].sum()
    with table(ms + ".flagversions/flags.flagdata_1", ack=False) as t:
        assert np.array_equal(t.getcol("FLAG"), before[0]) and np.array_equal(t.getcol("FLAG_ROW"), before[1])
    sheaf.flagdata(vis=ms, mode="unflag")
    assert sorted(os.listdir(ms + ".flagversions")) >= ["FLAG_VERSION_LIST", "flags.flagdata_1", "flags.flagdata_2"]


def test_calculate_writes_no_flags(ms):
    before = flags(ms)[0]
    for par in ({"mode": "tfcrop"}, {"mode": "manual"}, {"mode": "rflag"}):
        sheaf.flagdata(vis=ms, action="calculate", **par)
    assert np.array_equal(flags(ms)[0], before)
    assert not os.path.exists(ms + ".flagversions")
    text = pathlib.Path("rflag_output_thresholds_timedev0.txt").read_text()
    assert text.startswith("{'name':'Rflag','timedev':[[0.0,0.0,0.0378644757766")


def test_thresholds_from_files_are_those_of_a_list(ms):
    sheaf.flagdata(vis=ms, mode="rflag", action="calculate", timedev="t.txt", freqdev="f.txt")
    other = ms + ".other"
    shutil.copytree(ms, other)
    report = sheaf.flagdata(vis=ms, mode="rflag", action="calculate")["report0"]
    sheaf.flagdata(vis=ms, mode="rflag", timedev="t.txt", freqdev="f.txt", flagbackup=False)
    sheaf.flagdata(vis=other, mode="rflag", timedev=report["timedev"], freqdev=report["freqdev"].tolist(), flagbackup=False)
    assert np.array_equal(flags(ms)[0], flags(other)[0]) and flags(ms)[0].any()


def test_nothing_is_read_that_is_not_needed(ms):
    """manual, quack and summary do without DATA."""
    for file in pathlib.Path(ms).glob("table.f*_TSM*"):
        with table(ms, ack=False) as t:
            data = [m["SEQNR"] for m in t.getdminfo().values() if "DATA" in m["COLUMNS"]][0]
        if file.name.startswith(f"table.f{data}_"):
            file.unlink()
    sheaf.flagdata(vis=ms, mode="manual", antenna="2", flagbackup=False)
    sheaf.flagdata(vis=ms, mode="quack", quackinterval=40, flagbackup=False)
    assert sheaf.flagdata(vis=ms, mode="summary")["flagged"] > 0


def test_a_quack_of_no_time_flags_nothing(ms, capfd):
    """CASA 6.7.0 returns {} and flags nothing; its test test_CAS_4200."""
    before = flags(ms)
    assert sheaf.flagdata(vis=ms, mode="quack", quackinterval=0, flagbackup=False) == {}
    assert all(np.array_equal(a, b) for a, b in zip(flags(ms), before))
    assert "quackinterval=0 flags nothing" in capfd.readouterr().err


def test_antint_below_no_channel_takes_all_times(ms):
    """CASA 6.7.0: flagdata(vis, mode='antint', spw='0', antint_ref_antenna='1', minchanfrac=-.1) flags 2854278 of 2854278, with
    minchanfrac=0 none, on unflagged data."""
    for least, flagged in ((-.1, 2854278), (0., 0)):
        sheaf.flagdata(vis=ms, mode="unflag", flagbackup=False)
        assert sheaf.flagdata(vis=ms, mode="antint", spw="0", antint_ref_antenna="1", minchanfrac=least, flagbackup=False) == {}
        assert sheaf.flagdata(vis=ms, mode="summary")["flagged"] == flagged


BAD = [
    ({"mode": "tfcrop", "maxnpieces": 10}, "maxnpieces=10"), ({"mode": "tfcrop", "halfwin": 4}, "halfwin=4"),
    ({"mode": "tfcrop", "timecutoff": 0.0}, "timecutoff=0"), ({"mode": "extend", "growtime": 120.0}, "growtime=120"),
    ({"mode": "extend", "ntime": 0.0}, "ntime=0"), ({"mode": "extend", "ntime": "soon"}, "ntime='soon'"),
    ({"mode": "quack", "quackinterval": -1.0}, "quackinterval=-1"), ({"mode": "clip", "clipminmax": [1.0]}, "clipminmax"),
    ({"mode": "clip", "clipminmax": [2.0, 1.0]}, "clipminmax"), ({"mode": "clip", "correlation": "ABS_XX"}, "ABS_XX"),
    ({"mode": "clip", "correlation": "AMP_RR"}, "AMP"), ({"mode": "clip", "datacolumn": "CORRECTED"}, "CORRECTED_DATA"),
    ({"mode": "clip", "datacolumn": "RESIDUAL_DATA"}, "MODEL_DATA"), ({"mode": "clip", "datacolumn": "SNR"}, "SNR"),
    ({"mode": "clip", "timeavg": True}, "timebin"), ({"mode": "antint"}, "antint_ref_antenna"),
    ({"mode": "antint", "antint_ref_antenna": "ea99"}, "ea99"), ({"mode": "manual", "antenna": "ea99"}, "ea99"),
    ({"mode": "manual", "antenna": "1,99"}, "found for 99"), ({"mode": "clip", "antenna": "1&3;!2 & 77"}, "found for 77"),
    ({"mode": "manual", "antenna": "1,ea99"}, "ea99"), ({"mode": "manual", "field": "0,9"}, "field='0,9'"), ({"mode": "manual", "spw": "0,7"}, "7"),
    ({"mode": "list", "inpfile": ["scan='1'", "antenna='3,4,99&&*'"]}, "found for 99"),
    ({"mode": "manual", "field": "nowhere"}, "nowhere"), ({"mode": "manual", "spw": "7"}, "spw='7'"),
    ({"mode": "manual", "correlation": "XX"}, "XX"), ({"mode": "manual", "scan": "99"}, "scan='99'"),
    ({"mode": "elevation", "lowerlimit": 50.0, "upperlimit": 20.0}, "lowerlimit"),
    ({"mode": "rflag", "timedev": "missing.txt"}, "missing.txt"), ({"mode": "rflag", "freqdev": [[1, 2]]}, "freqdev"),
    ({"mode": "shadow", "addantenna": "missing.txt"}, "missing.txt"),
    ({"mode": "shadow", "addantenna": {"0": {"name": "x"}}}, "diameter"), ({"mode": "nonsense"}, "nonsense"),
    ({"mode": "manual", "correlation": "RR,FOO"}, "FOO"), ({"mode": "clip", "datacolumn": "FLOAT_DATA"}, "FLOAT_DATA"),
    ({"mode": "clip", "channelavg": True, "chanbin": [2, 3]}, "chanbin"), ({"mode": "extend", "extendpols": "maybe"}, "extendpols"),
    ({"mode": "rflag", "spectralmin": 5.0, "spectralmax": 1.0}, "spectralmin=5"),
    ({"mode": "rflag", "spectralmax": -1.0}, "spectralmax=-1"),
    ({"mode": "list", "inpfile": ["mode='manual' spw='0' timeavg=True timebin='2s'"]}, "mode='manual' does not average"),
    ({"mode": "list", "inpfile": ["spw='0' channelavg=True chanbin=4"]}, "mode='manual' does not average"),
    ({"mode": "list", "inpfile": ["mode='summary' timeavg=True timebin='2s'"]}, "mode='summary' does not average"),
    ({"mode": "list", "inpfile": ["mode='extend' timeavg=True timebin='2s'"]}, "mode='extend' does not average"),
    ({"mode": "manual", "savepars": True, "outfile": "/nowhere/at/all"}, "/nowhere/at/"),
    ({"mode": "manual", "savepars": True, "outfile": "/"}, "directory"),
    ({"mode": "summary", "minrel": 0.9, "maxrel": 0.1}, "minrel=0.9"), ({"mode": "summary", "minabs": 10, "maxabs": 5}, "minabs=10"),
    ({"mode": "summary", "minrel": 1.5, "maxrel": 2.0}, "minrel=1.5"), ({"mode": "summary", "minrel": -2.0, "maxrel": -1.0}, "maxrel=-1"),
    ({"mode": "clip", "timeavg": True, "timebin": "3m"}, "timebin='3m'"), ({"mode": "clip", "timeavg": True, "timebin": "inf"}, "'inf'"),
    ({"mode": "extend", "ntime": "3m"}, "ntime='3m'"), ({"mode": "extend", "ntime": "-5s"}, "ntime=-5"),
    ({"mode": "rflag", "timedevscale": 0.0}, "timedevscale=0"), ({"mode": "rflag", "freqdevscale": 0.0}, "freqdevscale=0"),
    ({"mode": "rflag", "winsize": 0}, "winsize=0"), ({"mode": "elevation", "lowerlimit": 95.0}, "lowerlimit=95"),
    ({"mode": "manual", "spw": "0:-5~3"}, "channels are counted from 0"), ({"mode": "quack", "quackmode": "BEG"}, "quackmode='BEG'"),
    ({"mode": "list", "inpfile": ["timerange='1995/04/13/09:36:36~1995/04/13/10:11:48'"], "tbuff": -10000.0}, "tbuff: leaves nothing"),
    ({"mode": "list", "inpfile": ["timerange='1995/04/13/09:36:36~1995/04/13/10:11:48'"], "tbuff": [1.0, 2.0, 3.0]}, "tbuff"),
]


@pytest.mark.parametrize("par,word", BAD, ids=[p["mode"] + "-" + w for p, w in BAD])
def test_bad_input_is_told_and_changes_nothing(ms, par, word):
    before = flags(ms)
    with pytest.raises(Exception, match=word.replace("[", r"\[")):
        sheaf.flagdata(vis=ms, **par)
    assert all(np.array_equal(a, b) for a, b in zip(flags(ms), before))
    assert not os.path.exists(ms + ".flagversions") and os.listdir(os.path.dirname(ms)) == ["ngc.ms"]


@pytest.mark.parametrize("tbuff, flagged", [(-10.0, 666792), ([-60.0, 60.0], 619164), ([], 666792)])
def test_a_negative_tbuff_makes_ranges_shorter(ms, tbuff, flagged):
    """Numbers of flags of CASA 6.7: flagdata('ngc5921.ms', mode='list', tbuff=tbuff, inpfile=[this line])."""
    sheaf.flagdata(vis=ms, mode="list", inpfile=["timerange='1995/04/13/09:36:36~1995/04/13/10:11:48'"], tbuff=tbuff)
    assert flags(ms)[0].sum() == flagged


def test_channels_that_are_not_there(ms, capfd):
    """CASA flags the last channel, 62, instead of 70~80: 45306 flags (135918 for 60~80, as here). See differences.md."""
    for par in ({}, {"mode": "clip", "clipminmax": [0, 1]}, {"mode": "tfcrop"}, {"mode": "unflag"},
                {"mode": "list", "inpfile": ["spw='0:70~80'"]}):
        assert sheaf.flagdata(vis=ms, **{"spw": "" if "inpfile" in par else "0:70~80", **par}) == {}
        assert "window 0 has channels 0~62" in capfd.readouterr().err
    for spw in ("0:63", "*:70~80", "0:70;75~80^2"):
        sheaf.flagdata(vis=ms, spw=spw)
    assert not flags(ms)[0].any() and not os.path.exists(ms + ".flagversions")
    for spw, flagged in (("0:60~80", {60, 61, 62}), ("0:62;70~80", {62}), ("0:0~1;70~80,0:5", {0, 1, 5})):
        sheaf.flagdata(vis=ms, mode="unflag", flagbackup=False)
        sheaf.flagdata(vis=ms, spw=spw, flagbackup=False)
        found = flags(ms)[0]
        assert set(np.flatnonzero(found.any(axis=(0, 2)))) == flagged and found.sum() == 45306 * len(flagged)


def test_channels_that_some_windows_lack(tmp_path):
    """0:70~80 of a window of 63 channels and 1:0~1 of another: the second is flagged."""
    path = str(tmp_path / "w.ms")
    shutil.copytree(inputs.simulated(), path)
    with table(path + "/SPECTRAL_WINDOW", ack=False) as t:
        last = t.getcol("NUM_CHAN")[0]
    sheaf.flagdata(vis=path, mode="unflag", flagbackup=False)
    sheaf.flagdata(vis=path, spw=f"0:{last}~{last + 5},1:0~1", flagbackup=False)
    with table(path, ack=False) as t:
        window, found = t.getcol("DATA_DESC_ID"), t.getcol("FLAG")
    assert found[window == 1, :2].all() and not found[window == 1, 2:].any() and not found[window != 1].any()


@pytest.mark.parametrize("mode", ["manual", "quack", "unflag", "extend", "summary", "antint antint_ref_antenna='1'"])
@pytest.mark.parametrize("word", ["channelavg=True chanbin=9", "timeavg=True timebin='60s'"])
def test_averages_of_modes_that_have_none(ms, mode, word):
    """In a list CASA refuses these, too: "Cannot use timeavg or channelavg in mode extend"."""
    lines = ["mode='clip' clipminmax=[0,65]", f"mode={mode} {word}"]
    with pytest.raises(sheaf.Error, match=r"inpfile.1.: (channel|time)avg=True: mode='\w+' does not average"):
        sheaf.flagdata(vis=ms, mode="list", inpfile=lines)
    assert not flags(ms)[0].any() and not os.path.exists(ms + ".flagversions")


def test_chanbin_of_each_window(tmp_path):
    """A list of chanbin has one for each window of the MS, whichever are selected: as CASA 6.7 on evla_tdem0003 with
    chanbin=[5, 3], spw='1', which flags what chanbin=[3] flags (27812), not chanbin=[5]."""
    def run(**par):
        path = str(tmp_path / "w.ms")
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(inputs.simulated(), path)
        sheaf.flagdata(vis=path, mode="clip", clipminmax=[0, 0.7], channelavg=True, spw="1", flagbackup=False, **par)
        return flags(path)[0]
    three, five = run(chanbin=[3]), run(chanbin=[5])
    assert np.array_equal(run(chanbin=[5, 3, 5, 5]), three) and not np.array_equal(three, five)


def test_weights_stand_in_for_a_weight_spectrum_without_cells(ms):
    """As CASA 6.7 on alma_mssel_small, where WEIGHT_SPECTRUM has no cells: datacolumn='WEIGHT_SPECTRUM' with
    clipminmax=[0, 0.000134] flags what 'WEIGHT' does (89,698)."""
    from casacore.tables import makearrcoldesc
    found = []
    for column in ("WEIGHT", "WEIGHT_SPECTRUM"):
        shutil.copytree(ms, "w.ms")
        with table("w.ms", readonly=False, ack=False) as t:
            t.removecols("WEIGHT_SPECTRUM")
            if column != "WEIGHT":
                t.addcols(makearrcoldesc("WEIGHT_SPECTRUM", 0.0, ndim=2, valuetype="float"))
        sheaf.flagdata("w.ms", mode="clip", datacolumn=column, clipminmax=[0, 500], flagbackup=False)
        found.append(flags("w.ms")[0])
        shutil.rmtree("w.ms")
    assert np.array_equal(*found) and found[0].any() and not found[0].all()


@pytest.mark.parametrize("par, digest", [
    ({"extendflags": False}, "78e2c5d25423961e4aef63a22adf3f3541d7d29e62294cb7358a13fa9dd46e23"),
    ({}, "55cb3d4bce20b46f9d0e8c46c395cf8407524eb6b3103f4194ed569507677a8f")])
def test_tfcrop_beside_a_window_of_stokes_i(tmp_path, par, digest):
    """As ALMA's water vapour radiometers have it: I of the other windows is examined as well. The digests are of CASA 6.7's flags after
    flagdata(vis, mode='tfcrop', flagbackup=False, **par): 2,526 flags in RR, RL, LR, LL with extendflags=False."""
    path = str(tmp_path / "i.ms")
    simulate.simulate(path, nant=5, windows=[(16, 1e6), (4, 2e6)], polarizations=[[9], [5, 6, 7, 8]], descriptions=[(0, 1), (1, 0)],
                      autos=True, scans=[(0, 0, 1, 0, 0, [0, 1], 20), (0, 0, 2, 1, 1, [0], 13)])
    with table(path + "/POLARIZATION", readonly=False, ack=False) as t:
        t.putcell("CORR_TYPE", 0, np.array([1], np.int32))
    rng = np.random.default_rng(3)
    with table(path, readonly=False, ack=False) as t:
        for row in range(t.nrows()):
            shape = t.getcell("DATA", row).shape
            value = rng.normal(3, 0.4, shape) + 1j * rng.normal(0, 0.4, shape)
            for _ in range(3):
                value.flat[rng.integers(value.size)] *= rng.uniform(1, 3)
            t.putcell("DATA", row, value)
            t.putcell("FLAG", row, rng.random(shape) < 0.03)
    sheaf.flagdata(path, mode="tfcrop", flagbackup=False, **par)
    with table(path, ack=False) as t:
        found = b"".join(np.packbits(t.getcell("FLAG", row)).tobytes() for row in range(t.nrows()))
    assert hashlib.sha256(found).hexdigest() == digest


def test_all_correlations_by_name(ms):
    sheaf.flagdata(vis=ms, mode="manual", correlation="ALL", scan="1", flagbackup=False)
    with table(ms, ack=False) as t:
        assert np.array_equal(t.getcol("FLAG").all(axis=(1, 2)), t.getcol("SCAN_NUMBER") == 1)


def test_a_time_range_beside_the_data_flags_nothing(ms):
    assert sheaf.flagdata(vis=ms, mode="manual", timerange="2001/01/01/00:00:00~2001/01/02/00:00:00") == {}
    assert not flags(ms)[0].any()


def saved(path):
    with table(path + "/FLAG_CMD", ack=False) as t:
        return [(t.getcell("COMMAND", i), t.getcell("REASON", i), t.getcell("APPLIED", i)) for i in range(t.nrows())]


def test_commands_are_saved(ms):
    sheaf.flagdata(vis=ms, mode="manual", antenna="2", savepars=True, cmdreason="hot", flagbackup=False)
    sheaf.flagdata(vis=ms, mode="clip", clipminmax=[0, 5], action="", savepars=True)
    sheaf.flagdata(vis=ms, mode="list", inpfile=["mode='manual' scan='1' reason='a'", "mode='summary'"], savepars=True)
    commands = saved(ms)
    assert [c[1:] for c in commands] == [("hot", True), ("", False), ("a", True)]
    assert set(commands[0][0].split()) == {"antenna='2'", "autocorr=False", "mode='manual'"}
    # as CASA saves it, the order apart
    assert set(commands[1][0].replace("[0, 5]", "[0.0,5.0]").replace("[0.0, 5.0]", "[0.0,5.0]").split()) == set(
        "datacolumn='DATA' clipoutside=True channelavg=False chanbin=1 timeavg=False timebin='0s' clipzeros=False "
        "clipminmax=[0.0,5.0] mode='clip'".split())
    assert flags(ms)[0].any()


def test_saved_commands_are_a_list_again(ms):
    other = ms + ".other"
    shutil.copytree(ms, other)
    for par in ({"mode": "quack", "quackinterval": 31.0}, {"mode": "tfcrop", "ntime": 120.0}):
        sheaf.flagdata(vis=ms, flagbackup=False, savepars=True, outfile="cmds.txt", **par)
        sheaf.flagdata(vis=other, flagbackup=False, mode="list", inpfile="cmds.txt")
        assert np.array_equal(flags(ms)[0], flags(other)[0])
    with pytest.raises(Exception, match="cmds.txt"):
        sheaf.flagdata(vis=ms, mode="manual", savepars=True, outfile="cmds.txt", overwrite=False)
    assert not flags(ms)[0].all()
    for line in ("mode='clip' clipminmax=[0,1", "mode='tfcrop' maxnpieces=77", "mode='manual' scann='1'", "mode='frob'"):
        pathlib.Path("bad.txt").write_text("mode='manual'\n" + line + "\n")
        before = flags(ms)[0]
        with pytest.raises(Exception, match="(?s)bad.txt.*(line )?2"):
            sheaf.flagdata(vis=ms, mode="list", inpfile="bad.txt")
        assert np.array_equal(flags(ms)[0], before)


def many_ranges():
    """Lines with time ranges of their own, with fractions of seconds, alone and in pairs, some beside the data."""
    day = "1995/04/13/"
    lines = [f"antenna='{i + 1}' timerange='{day}{9 + i // 6}:{(i * 7) % 60:02d}:{i}.{i}~{day}{9 + i // 6}:{(i * 7) % 60 + 3:02d}:10.25'" for i in range(14)]
    lines.append(f"antenna='20' timerange='{day}09:19:00~{day}09:25:00.5,{day}10:40:00~{day}10:44:10'")
    lines.append("antenna='21' timerange='1995/04/12/09:19:00~1995/04/12/09:25:00'")
    lines.append("antenna='22' timerange='10:00:00~10:20:00'")
    return lines


def test_time_ranges_of_a_long_list_are_those_of_single_commands(ms):
    """They are parsed together."""
    lines = many_ranges()
    sheaf.flagdata(vis=ms, flagbackup=False, mode="list", inpfile=lines)
    together = flags(ms)
    assert 0 < together[0].mean() < 0.5
    sheaf.flagdata(vis=ms, flagbackup=False, mode="unflag")
    for line in lines:
        sheaf.flagdata(vis=ms, flagbackup=False, mode="list", inpfile=[line])
    for one, other in zip(flags(ms), together):
        assert (one == other).all()


@pytest.mark.parametrize("bad", ["1995/04/13/09:99:00~1995/04/13/10:99:61:7", "1995/04/13/~1995/04/13/", "1995/04/13/10:00:00~x"])
def test_a_bad_time_range_of_a_long_list_is_told_by_its_line(ms, bad):
    lines = many_ranges()
    lines.insert(9, f"antenna='3' timerange='{bad}'")
    before = flags(ms)
    pathlib.Path("many.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(sheaf.Error, match=r"many.txt, line 10: timerange='"):
        sheaf.flagdata(vis=ms, flagbackup=False, mode="list", inpfile="many.txt")
    for one, other in zip(flags(ms), before):
        assert (one == other).all()
