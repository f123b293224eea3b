"""python -m mpl_diffusion: open the course, or ask whether this machine can run it."""

import argparse
import sys


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m mpl_diffusion", description="The lecture on diffusion models, to run.")
    commands = parser.add_subparsers(title="commands", dest="command")
    lab = commands.add_parser("lab", help="open the course in JupyterLab", description="Open the course in JupyterLab.")
    lab.add_argument("--port", type=_port, help="listen here and nowhere else (default: 8888, or the next free one)")
    lab.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")
    commands.add_parser("doctor", help="say what this machine has, and what to do about what is missing")
    args = parser.parse_args(argv)
    if args.command == "lab":
        from .lab import lab as run

        return run(port=args.port, browser=args.browser)
    if args.command == "doctor":
        from .doctor import doctor

        return doctor()
    parser.print_help()
    return 0


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected a whole number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell counts it: ended by Ctrl-C
