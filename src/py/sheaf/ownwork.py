# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that the script's own process answers, because there is no server: work whose result is there at once.

Their responses are as those of servers (MPICommandClient), but name none.
"""

import threading
import time
import traceback

_LOCK = threading.Lock()
_RESPONSES = {}


def answer(command, parameters, work, last, i=None):
    """Does work() and keeps what it returns, or that it failed; the number of the request.

    That is i, where it has one already, else one above last(). KeyboardInterrupt is raised.
    """
    response = {"command": command, "parameters": parameters, "mode": "eval", "server": None, "status": "response received",
                "command_start_time": time.time(), "successful": True, "traceback": None, "ret": None}
    try:
        response["ret"] = work()
    except Exception:  # pylint: disable=broad-exception-caught
        response.update(successful=False, traceback=traceback.format_exc())
    with _LOCK:
        i = i or max([last(), *_RESPONSES]) + 1
        _RESPONSES[i] = {**response, "id": i, "command_stop_time": time.time()}
    return i


def response_of(i):
    """The response to a request; None when this process has not answered it."""
    return _RESPONSES.get(i)


def responses():
    """All by number."""
    return dict(_RESPONSES)
