"""The command line: `python -m minidsr` or `minidsr`; run/commands.py has the subcommands.

Exit codes:

    0          done
    1          an invariant is violated, numbers are not finite, files cannot be written, or the
               program is wrong: then with a traceback
    2          the user's input
    74         done, but standard output could not be written, as on a full disk; a reader that has
               gone (`| head`) changes no code
    130, 143   interrupted by Ctrl-C or SIGTERM; a training is saved
"""

import sys

from . import __version__
from .run.output import delivered, outputs


def main(argv=None):
    """Run the command line; returns the exit code."""
    try:
        with outputs():
            try:
                return delivered(_run(sys.argv[1:] if argv is None else argv))
            except SystemExit as stop:  # tyro's, after --help or a flag that is wrong
                raise SystemExit(delivered(stop.code)) from None
    except KeyboardInterrupt:
        with outputs():
            print("minidsr: interrupted", file=sys.stderr)
        return 130


def _run(argv):
    if argv == ["--version"]:
        print(f"minidsr {__version__}")
        return 0
    from .backend import interrupts_wait

    with interrupts_wait():  # a second, in which Ctrl-C is one line, too
        from .run import command_line

    return command_line.run(argv)


if __name__ == "__main__":
    sys.exit(main())
