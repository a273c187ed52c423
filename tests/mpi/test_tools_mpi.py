# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools table and ms in commands on servers, and the example of the median filter over two MSs."""

import os
import shutil
import subprocess

import numpy as np
import pytest

ct = pytest.importorskip("casacore.tables")
import inputs  # noqa: E402
from commands import BUILD, LIMIT_S, MPISHEAF, environment, run  # noqa: E402

EXAMPLE = os.path.join(inputs.ROOT, "examples", "median_filter.py")


@pytest.fixture
def two(tmp_path):
    paths = [str(tmp_path / name) for name in ("a.ms", "b.ms")]
    for path in paths:
        shutil.copytree(inputs.simulated(), path)
    with ct.table(paths[1], readonly=False, ack=False) as t:  # not the same data in both
        for row in range(t.nrows()):
            t.putcell("DATA", row, t.getcell("DATA", row)[::-1].copy())
    return paths


def filter_two(two, *more):
    return subprocess.run([MPISHEAF, "-n", "3", os.path.join(BUILD, "bin", "sheaf"), "-c", EXAMPLE, *two, *more], env=environment(),
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_median_filter(two):
    signal = pytest.importorskip("scipy.signal", reason="the example needs scipy (python3-scipy)")
    before = [_first(path) for path in two]
    done = filter_two(two, "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"filtered rows: {before[0][1].size} {before[1][1].size}\n"
    for path, (data, rows) in zip(two, before):
        want = signal.medfilt(data.real, [1, 3, 1]) + 1j * signal.medfilt(data.imag, [1, 3, 1])
        after, _ = _first(path)
        assert np.array_equal(after, want.astype(np.complex64)) and not np.array_equal(after, data)
    assert not np.array_equal(before[0][0], before[1][0])


def _first(path):
    """Data of the first data description, as casacore has them."""
    with ct.table(path, ack=False) as t:
        rows = np.flatnonzero(t.getcol("DATA_DESC_ID") == 0)
        return np.array([t.getcell("DATA", int(row)) for row in rows]).transpose(0, 2, 1).transpose(1, 2, 0), rows


def test_an_example_that_fails_says_where(two):
    done = filter_two([two[0], two[1] + ".nix"])
    assert done.returncode != 0 and "server 2: tool.open(path, nomodify=False)" in done.stderr and "does not exist" in done.stderr


def test_tools_on_servers(two):
    s = run(f"""
        client.push_command_request("from casatools import table, ms", target_server=[1, 2])
        client.push_command_request("t = table()", target_server=[1, 2])
        client.push_command_request("t.open('{two[0]}')", target_server=1)
        client.push_command_request("t.open('{two[1]}')", target_server=2)
        both = client.push_command_request("t.getcol('DATA_DESC_ID').sum()", True, [1, 2])
        show(sums=[int(r["ret"]) for r in both], closed=client.push_command_request("table().nrows()", True, 1)[0]["traceback"])
        column = client.push_command_request("t.getcell('DATA', 0)", True, [1, 2])
        show(same=bool((column[0]["ret"] == column[1]["ret"][:, ::-1]).all()), kept=value("t.nrows()", 1))
        """)
    with ct.table(two[0], ack=False) as t:
        assert s["sums"] == [int(t.getcol("DATA_DESC_ID").sum())] * 2 and s["kept"] == t.nrows()
    assert "No table specified" in s["closed"] and s["same"] is True


def test_two_servers_write_in_turn(two):
    """The same table, changed by two servers: the lock keeps them apart, and nothing is lost."""
    s = run(f"""
        client.push_command_request("from sheaf import table\\nimport numpy\\nt = table()", target_server=[1, 2])
        for k in range(5):
            client.push_command_request("t.open('{two[0]}', nomodify=False)", target_server=[1, 2])
            client.push_command_request("for row in range(10): t.putcell('SCAN_NUMBER', 100 + row, 1000 + row)", target_server=1)
            client.push_command_request("for row in range(10): t.putcell('SCAN_NUMBER', 200 + row, 2000 + row)", target_server=2)
            last = client.push_command_request("t.close()", True, [1, 2])
        show(bad=[[r["command"], r["traceback"]] for r in client.get_command_response(list(range(1, 33)), True) if not r["successful"]],
             last=[r["ret"] for r in last])
        """)
    assert s["bad"] == [] and s["last"] == [True, True]
    with ct.table(two[0], ack=False) as t:
        assert list(t.getcol("SCAN_NUMBER", 100, 10)) == list(range(1000, 1010))
        assert list(t.getcol("SCAN_NUMBER", 200, 10)) == list(range(2000, 2010))
