# SPDX-License-Identifier: GPL-3.0-or-later
"""Exceptions of Sheaf.

Each failure of a task is a `sheaf.Error`. The classes also derive from those that CASA's tasks raise in the same
situation, so that scripts which catch these go on working.
"""


class Error(RuntimeError):
    """A task failed. `task` is its name; `rank` and `host` tell where, when a server failed, else -1 and ''."""

    task = None
    rank = -1
    host = ""


# CASA raises AssertionError for what its parameter tables refuse, and ValueError or OSError for what a task refuses itself.
class ParameterError(Error, ValueError, AssertionError, OSError):
    """What was asked for makes no sense."""


class UnknownParameterError(ParameterError, TypeError):
    """A task has no such parameter, or has it twice."""


class FileError(Error, OSError):
    """The system refused to read or write."""


class NotFoundError(FileError, FileNotFoundError, AssertionError):
    """A file, table or column is missing."""


class ExistsError(FileError, FileExistsError, ValueError):
    """An output would overwrite something."""


class EmptyError(Error):
    """A selection matches no rows."""


class DataError(Error):
    """A table or file is damaged or inconsistent."""


class OutOfMemoryError(Error, MemoryError):
    """Memory is used up."""


class ServerLostError(Error):
    """A server died or cannot be reached."""


class InterruptedTaskError(Error):
    """The user or the system asked the task to stop."""


class InternalError(Error):
    """A defect of Sheaf."""


_CLASSES = {
    -1: ParameterError,
    -2: NotFoundError,
    -3: ExistsError,
    -4: EmptyError,
    -5: FileError,
    -6: DataError,
    -7: OutOfMemoryError,
    -8: ServerLostError,
    -9: InterruptedTaskError,
    -10: InternalError,
}


def make(code, text, task, host, rank):
    """The exception for a failure in C."""
    if task and not text.startswith(task + ":"):
        text = f"{task}: {text}"
    error = _CLASSES.get(code, InternalError)(text)
    error.task, error.host, error.rank = task, host or "", rank
    return error


__all__ = [name for name, item in list(globals().items())
           if isinstance(item, type) and issubclass(item, Error)]
