# SPDX-License-Identifier: GPL-3.0-or-later
"""Two commands on whichever servers are free, with their responses retrieved later.

This is the first example of CASA's page on its parallelization interface framework, as `mpisheaf -n 3 sheaf -c two_calibrations.py A.ms B.ms`.
There it is wvrgcal; here it is initweights, the step before a calibration, in two MSs (such as two execution blocks).
"""

import sys

from mpi4casa.MPICommandClient import MPICommandClient  # CASA's name, with compat/ in PYTHONPATH; or: from sheaf import …

first, second = sys.argv[1:]

client = MPICommandClient()
client.set_log_mode("unified")
client.start_services()

# A full command with its parameters in it.
cmd1 = f"initweights(vis={first!r}, wtmode='nyq')"
ids = client.push_command_request(cmd1, block=False)

# A command with its parameters apart, in their native types.
cmd2 = "initweights()"
ids += client.push_command_request(cmd2, block=False, parameters={"vis": second, "wtmode": "nyq"})

# The script could do something else here. Then:
for response in client.get_command_response(ids, block=True):
    print(response["id"], response["server"], response["successful"], response["traceback"] or "")
