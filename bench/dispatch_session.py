# SPDX-License-Identifier: GPL-3.0-or-later
"""One session for bench/dispatch: SHEAF_OR_CASA WHAT REPEAT. Prints JSON. The same code drives both."""

import json
import os
import sys
import time

PACKAGE, WHAT, REPEAT = sys.argv[1], sys.argv[2], int(sys.argv[3])
if PACKAGE == "casampi":
    import casampi.private.start_mpi  # noqa: F401  (servers stay in here)
    from casampi.MPICommandClient import MPICommandClient
else:
    from sheaf import MPICommandClient


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def measure_round_trips(client):
    client.push_command_request("1+1", True, [1, 2])
    times = [timed(lambda: client.push_command_request("1+1", True)) for _ in range(REPEAT)]
    return {"seconds": times}


def measure_throughput(client):
    ids = []
    begin = time.perf_counter()
    for _ in range(REPEAT):
        ids += client.push_command_request("1+1")
    responses = client.get_command_response(ids, True)
    seconds = time.perf_counter() - begin
    assert all(response["ret"] == 2 for response in responses)
    return {"commands": REPEAT, "seconds": seconds}


def measure_arrays(client):
    import numpy

    array = numpy.random.default_rng(1).random(12_500_000 if PACKAGE == "sheaf" else 1_250_000)  # CASA: 0.5 MB/s
    there, back = [], []
    for _ in range(REPEAT):
        there.append(timed(lambda: client.push_command_request("push", True, 1, {"a": array})))
        found = []
        back.append(timed(lambda: found.append(client.push_command_request("a", True, 1)[0]["ret"])))
        assert numpy.array_equal(found[0], array)
    return {"bytes": array.nbytes, "parameter": there, "result": back}


def measure_idle(client):
    client.push_command_request("1+1", True, [1, 2])
    pids = [status["pid"] for status in client.get_server_status().values()]
    time.sleep(1)
    before = [cpu_seconds(pid) for pid in pids]
    time.sleep(REPEAT)
    return {"percent": [100 * (cpu_seconds(pid) - start) / REPEAT for pid, start in zip(pids, before)]}


def measure_start(client):
    assert client.push_command_request("1+1", True)[0]["ret"] == 2
    return {"first_answer": time.time()}


CLIENT = MPICommandClient()
CLIENT.start_services()
result = {"round_trips": measure_round_trips, "throughput": measure_throughput, "arrays": measure_arrays,
          "idle": measure_idle, "start": measure_start}[WHAT](CLIENT)
print(json.dumps(result), flush=True)
if PACKAGE == "casampi":
    CLIENT.stop_services()
    os._exit(0)
