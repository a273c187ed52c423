# SPDX-License-Identifier: GPL-3.0-or-later
# Python on servers, with tasks and tools, over the sub-MSs of a Multi-MS.
import os

import numpy as np
from casampi.MPICommandClient import MPICommandClient
from casampi.MPIEnvironment import MPIEnvironment
from casatasks import casalog, partition
from casatools import ms, table

print("MPI:", MPIEnvironment.is_mpi_enabled, "client:", MPIEnvironment.is_mpi_client, "servers:", MPIEnvironment.mpi_server_rank_list())
casalog.post("two servers at work")
partition(vis="ngc5921.ms", outputvis="work.mms", separationaxis="scan", numsubms=4, flagbackup=False)
m = ms()
m.open("work.mms")
print("Multi-MS:", m.ismultims(), m.nrow())
members = sorted(m.getreferencedtables())
m.close()
print([os.path.basename(one) for one in members])

client = MPICommandClient()
client.set_log_mode("redirect")
client.start_services()
servers = [1, 2]

# Code that all servers get first.
client.push_command_request("""
import numpy as np
from casatools import ms, table
def mean_amplitude(vis):
    tool = ms()
    tool.open(vis)
    tool.selectinit(0)
    amplitude = tool.getdata(['amplitude', 'flag'])
    tool.close()
    return float(np.mean(amplitude['amplitude'][~amplitude['flag']]))
""", True, servers)
ids = []
for one in members:
    ids.extend(client.push_command_request("mean_amplitude(vis)", False, None, {"vis": one}))
for response in client.get_command_response(ids, True, True):
    print(os.path.basename(response["parameters"]["vis"]), response["successful"], "%.4f" % response["ret"], response["mode"])

# State that stays with a server.
client.push_command_request("tb = table()", True, 1)
for i, one in enumerate(members[:2]):
    client.push_command_request("tb.open('%s', nomodify=False)" % one, True, 1)
    client.push_command_request("flag = tb.getcol('FLAG')", True, 1)
    client.push_command_request("flag[:, ::7, :] = True", True, 1)
    client.push_command_request("tb.putcol('FLAG', flag)", True, 1)
    print(i, client.push_command_request("tb.nrows()", True, 1)[0]["ret"], client.push_command_request("int(flag.sum())", True, 1)[0]["ret"])
    client.push_command_request("tb.close()", True, 1)

# Tasks, with arguments as parameters; a failure; several at a time.
ids = []
for one in members:
    ids += client.push_command_request("flagdata()", False, None, {"vis": one, "mode": "summary"})
total = flagged = 0
for response in client.get_command_response(ids, True):
    total += response["ret"]["total"]
    flagged += response["ret"]["flagged"]
print("flagged %d of %d" % (flagged, total))
bad = client.push_command_request("1/0", True, 2)[0]
print(bad["successful"], bad["ret"], bad["server"], "ZeroDivisionError" in bad["traceback"], bad["status"])
pair = client.push_command_request("max(numbers)", True, servers, {"numbers": np.arange(10) * 3})
print([(one["server"], int(one["ret"])) for one in pair])
print(client.push_command_request("no python", True, 1))
status = client.get_server_status()
print(sorted(status), [status[rank]["busy"] for rank in sorted(status)], [status[rank]["timeout"] for rank in sorted(status)])

tb = table()
tb.open("work.mms")
print("rows %d, flagged %d" % (tb.nrows(), tb.getcol("FLAG").sum()))
tb.close()
client.stop_services()
