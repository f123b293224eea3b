"""python -m mpl_diffusion: open the course, ask if this machine can run it, make its models and tables again."""

import argparse
import errno
import sys


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m mpl_diffusion", description="The lecture on diffusion models, to run.")
    commands = parser.add_subparsers(title="commands", dest="command")
    lab = commands.add_parser("lab", help="open the course in JupyterLab", description="Open the course in JupyterLab.")
    lab.add_argument("--port", type=_port, help="listen here and nowhere else (default: 8888, or the next free one)")
    lab.add_argument("--no-browser", dest="browser", action="store_false", help="only print the address")
    commands.add_parser("doctor", help="say what this machine has, and what to do about what is missing")
    train = commands.add_parser(
        "train",
        help="train a model of the course again",
        description="Train a model of the course again, to FOLDER/weights.safetensors; mpl_diffusion.load reads that. "
        "On several GPUs, or CPUs: `torchrun --nproc-per-node N -m mpl_diffusion train NAME`.",
    )
    train.add_argument("name", metavar="NAME", help="mnist, digit-classifier, ...: a recipe")
    train.add_argument("--steps", type=_count, help="how many (default: the recipe's, as for all that follow)")
    train.add_argument("--batch", type=_count, help="images per step, of all processes together")
    train.add_argument("--begin", metavar="MODEL", help="with these weights: a name, or a file (default: new ones)")
    train.add_argument("--seed", type=int, help="of the first weights, the order of the data, the noise")
    train.add_argument("--device", choices=["cpu", "cuda", "mps"], help="(default: cuda where there is one, or cpu)")
    train.add_argument("--precision", choices=["float32", "bfloat16"], help="(default: what is faster on the device)")
    train.add_argument("--compile", action="store_true", default=None, help="through torch.compile")
    train.add_argument("--threads", type=_count, help="CPU threads (default: torch's choice)")
    train.add_argument("--out", metavar="FOLDER", help="for checkpoint and weights (default: runs/NAME)")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in FOLDER, if there is one")
    measure = commands.add_parser(
        "measure",
        help="measure a table of the course again",
        description="Measure a table of the course again, row by row, into FILE; mpl_diffusion.load_table reads that.",
    )
    measure.add_argument("name", metavar="NAME", help="ddim: quality against steps, for every sampler")
    measure.add_argument("--n", type=_count, help="images for each row (default: 5000; at most 2000 beyond S = 100)")
    measure.add_argument("--precision", choices=["float32", "bfloat16"], help="(default: float32)")
    measure.add_argument("--device", choices=["cpu", "cuda"], help="(default: cpu)")
    measure.add_argument("--compile", action="store_true", default=None, help="through torch.compile")
    measure.add_argument("--threads", type=_count, help="CPU threads (default: torch's choice)")
    measure.add_argument("--out", metavar="FILE", help="(default: runs/NAME.json)")
    measure.add_argument("--resume", action="store_true", help="go on with what FILE already holds")
    args = parser.parse_args(argv)
    if args.command == "lab":
        from .lab import lab as run

        return run(port=args.port, browser=args.browser)
    if args.command == "doctor":
        from .doctor import doctor

        return doctor()
    if args.command in ("train", "measure"):
        if args.command == "train":
            from .training.runs import train as run
        else:
            from .evaluation.tables import measure as run
        given = {key: value for key, value in vars(args).items() if key != "command" and value is not None}
        try:
            return run(**given)
        except ValueError as error:
            print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"{parser.prog} {args.command}: {_trouble(error)}", file=sys.stderr)
            return 1
    parser.print_help()
    return 0


def _trouble(error: OSError) -> str:
    """What the system refused, and the cure: one line."""
    if error.errno is None:  # our own: it says all
        return str(error)
    cures = {
        errno.ENOSPC: "the disk is full: free some space, or name another --out",
        errno.EDQUOT: "your quota is used up: free some space, or name another --out",
        errno.EROFS: "the file system is read-only: name another --out",
        errno.EACCES: "you may not read or write there: name another --out",
        errno.EPERM: "you may not read or write there: name another --out",
        errno.ENOENT: "no file can be made there: name another --out",
        errno.ENAMETOOLONG: "that name is too long: name another --out",
        errno.EPIPE: "nobody reads the output any more",
        errno.ENOTDIR: "a part of that path is a file: name another --out",
        errno.EISDIR: "that is a folder: name a file with --out",
    }
    where = f"{error.filename}: " if error.filename else ""
    cure = cures.get(error.errno, f"{error.strerror or error}: name another --out")
    return f"{where}{cure}. What was there before is unchanged; --resume goes on with it"


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: expected a whole number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of them: expected a whole number from 1")
    return int(text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell counts it: ended by Ctrl-C
