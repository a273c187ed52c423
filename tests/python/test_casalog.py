# SPDX-License-Identifier: GPL-3.0-or-later
"""casalog: what CASA 6.7.0 writes and answers, looked up by the same calls of `casatasks.casalog` (setlogfile, then read
the file)."""

import os

import pytest

from sheaf import casalog

LEVELS = ["DEBUG", "DEBUG2", "DEBUG1", "INFO5", "INFO4", "INFO1", "INFO", "NORMAL", "NORMAL5", "WARN", "SEVERE", "ERROR"]
FINE = ["INFO5", "INFO4", "INFO1", "INFO", "NORMAL", "NORMAL5", "WARN", "SEVERE", "ERROR"]


@pytest.fixture
def lines(tmp_path, monkeypatch):
    """Function: what was written since it was called last, as (level, origin, text)."""
    monkeypatch.chdir(tmp_path)
    casalog.setlogfile("q.log")
    seen = [0]

    def new():
        with open("q.log", encoding="utf-8") as log:
            all_of_them = [tuple(line.rstrip("\n").split("\t")[1:]) for line in log]
        since, seen[0] = all_of_them[seen[0]:], len(all_of_them)
        return since

    yield new
    casalog.clearFilterMsgList()
    casalog.filter("INFO")
    casalog.origin()
    casalog.processorOrigin()
    casalog.setlogfile(tmp_path / "end.log")


@pytest.mark.parametrize("filters, passed", [
    (["Frog"], ["a frog", "cat", "axb", "a.*xb"]),
    ("Frog", ["a frog", "cat", "axb", "a.*xb"]),
    ([".*x"], ["a frog", "a Frog here", "cat", "axb"]),
    ([""], ["a frog", "a Frog here", "cat", "axb", "a.*xb"]),
    ([], ["a frog", "a Frog here", "cat", "axb", "a.*xb"]),
    (["Frog", "cat"], ["a frog", "axb", "a.*xb"]),
    (["orig::"], ["a frog", "a Frog here", "cat", "axb", "a.*xb"]),
    (["WARN"], ["a frog", "a Frog here", "cat", "axb", "a.*xb"]),
])
def test_filter_of_messages(lines, filters, passed):
    assert casalog.filterMsg(filters) is None
    texts = ["a frog", "a Frog here", "cat", "axb", "a.*xb"]
    assert [casalog.post(text, "WARN", "orig::xx") for text in texts] == [text in passed for text in texts]
    assert lines() == [("WARN", "orig::xx::orig::xx::casa", text) for text in passed]


def test_filters_add_up_until_cleared(lines):
    casalog.filterMsg(["dog"])
    casalog.filterMsg(["begin"])
    assert not casalog.post("dog", "SEVERE") and not casalog.post("one\nbegin\nthree") and lines() == []
    assert casalog.clearFilterMsgList() is None
    assert casalog.post("dog") and lines() == [("INFO", "::casa", "dog")]


def test_filter_of_messages_covers_tasks(lines):
    import sheaf

    os.mkdir("no.ms")
    casalog.filterMsg(["Begin Task", "failed"])
    with pytest.raises(sheaf.Error):
        sheaf.listpartition("no.ms")
    text = "\n".join(line[-1] for line in lines())
    assert "End Task" in text and "Begin Task" not in text and "failed" not in text


@pytest.mark.parametrize("wrong", [["a", 1], 5, None])
def test_filter_of_what_is_no_text(lines, wrong):
    with pytest.raises(TypeError):
        casalog.filterMsg(wrong)
    assert casalog.post("a") and len(lines()) == 1


@pytest.mark.parametrize("level, passed", [
    ("DEBUG", LEVELS), ("DEBUG2", LEVELS[1:]), ("DEBUG1", LEVELS[2:]), ("INFO5", FINE), ("NORMAL5", FINE),
    ("INFO4", [p for p in FINE if p[-1] != "5"]), ("INFO1", ["INFO1", "INFO", "NORMAL", "WARN", "SEVERE", "ERROR"]),
    ("INFO", ["INFO", "NORMAL", "WARN", "SEVERE", "ERROR"]), ("NORMAL", ["INFO", "NORMAL", "WARN", "SEVERE", "ERROR"]),
    ("WARN", ["WARN", "SEVERE", "ERROR"]), ("SEVERE", ["SEVERE", "ERROR"]), ("ERROR", ["SEVERE", "ERROR"]),
    ("bogus", ["INFO", "NORMAL", "WARN", "SEVERE", "ERROR"]), ("", ["INFO", "NORMAL", "WARN", "SEVERE", "ERROR"]),
])
def test_level(lines, level, passed):
    assert casalog.filter(level) is True
    assert [p for p in LEVELS if casalog.post(p, p)] == passed
    assert [line[-1] for line in lines()] == passed


def test_unknown_levels_are_info(lines):
    assert all(casalog.post("m", p) for p in ("WARNING", "warning", "bogus", ""))
    assert lines() == [("INFO", "::casa", "m")] * 4


def test_origin(lines):
    for origin in ("a", "a::b", ""):
        casalog.post("m", "INFO", origin)
    assert casalog.origin("me") is True and casalog.getOrigin() == "me"
    casalog.post("m")
    casalog.postLocally("m", "INFO", "z")
    assert casalog.origin() is True and casalog.getOrigin() == ""
    casalog.post("m")
    assert [line[1] for line in lines()] == ["a::a::casa", "a::b::a::b::casa", "::casa", "me::::casa", "me::z::casa", "::casa"]


def test_every_method_of_casa():
    """dir(casatools.logsink)"""
    for name in ("clearFilterMsgList filter filterMsg getMemoryTotal getNumCPUs getOrigin id localId logfile ompGetNumThreads "
                 "ompNumThreadsTest ompSetNumThreads origin post postLocally processorOrigin setMemoryFraction setMemoryTotal "
                 "setNumCPUs setglobal setlogfile showconsole version").split():
        assert callable(getattr(casalog, name))


def test_facts(lines, tmp_path):
    assert casalog.id() == "TSLogSink" and casalog.localId() == "LogSinkInterface" and casalog.setglobal() is True
    assert casalog.logfile() == str(tmp_path / "q.log")
    assert casalog.version() == lines()[0][-1]
    threads = casalog.ompGetNumThreads()
    assert [casalog.ompSetNumThreads(2), casalog.ompGetNumThreads(), casalog.ompSetNumThreads(0),
            casalog.ompGetNumThreads()] == [True, 2, True, 1]
    casalog.ompSetNumThreads(threads)
    total = casalog.getMemoryTotal()
    assert [casalog.setMemoryTotal(2000), casalog.getMemoryTotal(), casalog.getMemoryTotal(False),
            casalog.setMemoryTotal(-1), casalog.getMemoryTotal()] == [0, 2048000, total, 2048000, total]
    assert [casalog.setMemoryFraction(50), casalog.getMemoryTotal(), casalog.setMemoryFraction(-1)] == [0, total // 2, 50]
    cores = casalog.getNumCPUs()
    assert [casalog.setNumCPUs(1), casalog.getNumCPUs(), casalog.getNumCPUs(False), casalog.setNumCPUs(-1),
            casalog.getNumCPUs()] == [0, 1, cores, 1, cores]
