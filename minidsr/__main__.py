"""The command line: `python -m minidsr` or `minidsr`; run/commands.py has the subcommands.

Exit codes: 0 done, 1 the program failed or an invariant is violated, 2 the user's input, 130 and
143 interrupted and saved.
"""

import sys

from . import __version__


def main(argv=None):
    """Run the command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv == ["--version"]:
        print(f"minidsr {__version__}")
        return 0
    try:
        from .run import commands  # takes a second, in which Ctrl-C is one line, too

        return commands.run(argv)
    except KeyboardInterrupt:
        print("minidsr: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
