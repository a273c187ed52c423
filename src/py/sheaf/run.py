# SPDX-License-Identifier: GPL-3.0-or-later
"""What `sheaf -c …` and `sheaf` alone become: a script, or an interactive session, with all tasks loaded."""

import io
import os
import sys
import types

import sheaf


def _fresh_main(path=None):
    """A module __main__ that holds all tasks and the package."""
    main_module = types.ModuleType("__main__")
    main_module.__dict__.update({name: getattr(sheaf, name) for name in sheaf.__all__})
    main_module.sheaf = sheaf
    main_module.__builtins__ = __builtins__
    if path is not None:
        main_module.__file__ = path
    sys.modules["__main__"] = main_module
    return main_module


def _execute(source, name, namespace):
    """Runs code as Python itself would: a traceback without our own frames, exit status 1."""
    try:
        exec(compile(source, name, "exec"), namespace)
    except SystemExit:
        raise
    except BaseException as problem:
        trace = problem.__traceback__.tb_next
        sys.excepthook(type(problem), problem.with_traceback(trace), trace)
        sys.exit(130 if isinstance(problem, KeyboardInterrupt) else 1)


def _run_script(path, args):
    try:
        with io.open_code(os.path.abspath(path)) as script:
            source = script.read()
    except OSError as problem:
        print(f"sheaf: cannot read the script '{path}': {problem.strerror}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [path, *args]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    _execute(source, path, _fresh_main(path).__dict__)


def _run_code(code, args):
    sys.argv = ["-c", *args]
    sys.path.insert(0, "")
    _execute(code, "<string>", _fresh_main().__dict__)


def _banner():
    servers = sheaf.nservers()
    where = f", {servers} server{'s' * (servers != 1)}" if servers else ""
    return (f"Sheaf {sheaf.__version__}{where}. Tasks: {', '.join(sorted(sheaf.tasks.FUNCTIONS))}.\n"
            "help(TASK) explains one; exit() ends the session.")


def _run_plain_console(namespace):
    import code
    import readline
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(namespace).complete)
    readline.parse_and_bind("tab: complete")
    code.interact(banner=_banner(), local=namespace, exitmsg="")


def _run_ipython(namespace):
    import IPython
    from traitlets.config import Config

    config = Config()
    config.TerminalInteractiveShell.banner1 = _banner() + "\n"
    IPython.start_ipython(argv=[], config=config, user_ns=namespace)


def _interact():
    sys.argv = [""]
    sys.path.insert(0, "")
    main_module = _fresh_main()
    if not sys.stdin.isatty():
        _execute(sys.stdin.read(), "<stdin>", main_module.__dict__)
        return
    try:
        import IPython  # noqa: F401
    except ImportError:
        _run_plain_console(main_module.__dict__)
    else:
        _run_ipython(main_module.__dict__)


def main(args):
    """Runs a script (or a line of code) with its arguments; without any, an interactive session."""
    if not args:
        _interact()
    elif os.path.isfile(args[0]) or args[0].endswith(".py"):
        _run_script(args[0], args[1:])
    else:
        _run_code(args[0], args[1:])
