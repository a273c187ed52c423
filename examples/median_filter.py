#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters the spectra of two MeasurementSets at once, each on a server of its own.

    mpisheaf -n 3 sheaf -c examples/median_filter.py a.ms b.ms [CHANNELS]

Every visibility becomes the median (of real and imaginary part) of CHANNELS neighbouring channels (default 5). The data are replaced, so try
it on copies. scipy must be there for the Python that Sheaf uses (Debian: python3-scipy).

This is an example of commands that depend on each other: what one leaves on a server (the open MS, the data, a module) the next one
finds there. So all of them name their server. They are sent without waiting; each server does its own in the order in which they were sent.
"""

import os
import sys

from sheaf import MPICommandClient

SERVERS = [1, 2]


def main(paths, channels=5):
    """Filters paths[0] on server 1 and paths[1] on server 2; the rows of each."""
    client = MPICommandClient()
    client.start_services()
    sent = []

    def send(command, target_server=SERVERS, **parameters):
        sent.extend(client.push_command_request(command, target_server=target_server, parameters=parameters or None))

    # Open the MSs
    send("from sheaf import ms")
    send("tool = ms()")
    for server, path in zip(SERVERS, paths):
        send("tool.open(path, nomodify=False)", [server], path=os.path.abspath(path))
    send("tool.selectinit(datadescid=0)")

    # Apply the median filter
    send("from scipy import signal")
    send("record = tool.getdata(['data'])")
    send("data = record['data']")
    send("data.real = signal.medfilt(data.real, [1, channels, 1]); data.imag = signal.medfilt(data.imag, [1, channels, 1])",
         channels=channels)

    # Put the filtered data back into the MSs
    send("tool.putdata({'data': data})")

    # Close the MSs, and wait
    send("rows = data.shape[2]; tool.close()")
    send("rows")
    responses = client.get_command_response(sent, block=True)
    for response in responses:
        if not response["successful"]:
            raise SystemExit(f"server {response['server']}: {response['command']}\n{response['traceback']}")
    return [response["ret"] for response in responses[-2:]]


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        raise SystemExit(__doc__)
    print("filtered rows:", *main(sys.argv[1:3], int(sys.argv[3]) if len(sys.argv) == 4 else 5))
