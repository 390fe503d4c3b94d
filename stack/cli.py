"""The kit's command line: which commands there are, and their options."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from stack import commands, database, ports
from stack.bench import bench, compare, faults, peers, report
from stack.checks import test
from stack.errors import KitError
from stack.locks import lock
from stack.matrix.options import matrix
from stack.project import write as project
from stack.state import ROOT, State

__all__ = ["main"]

EPILOG = """\
KIT_VENV=DIR    the kit's virtual environment (default: .venv in the repository)
KIT_STATE=DIR   the stack's data, secrets and logs (default: .kit in the repository)
"""

# Commands whose words all go to another program.
PASSED_ON: dict[str, tuple[str, str, Callable[[State, Sequence[str]], int]]] = {
    "test": ("[PYTEST ARGUMENTS]", "check style and types, run all tests; with arguments: pytest alone",
             lambda _state, argv: test(argv)),
    "bench": ("[OPTIONS]", "measure the stack (starts it if it is not up); see ./kit bench --help", bench),
    "peers": ("[OPTIONS]", "measure the server against others, on one core; see ./kit peers --help",
              lambda _state, argv: peers(argv)),
    "faults": ("[OPTIONS]", "do faults to the server and to others; see ./kit faults --help",
               lambda _state, argv: faults(argv)),
    "compare": ("BEFORE.json AFTER.json", "compare two reports of ./kit bench; fail if one is worse",
                lambda _state, argv: compare(argv)),
    "report": ("FILE.json", "make the report of a run again; see ./kit report --help",
               lambda _state, argv: report(argv)),
    "matrix": ("[OPTIONS]", "find out what an application sees behind each proxy; see ./kit matrix --help",
               matrix),
    "psql": ("[--role app|readonly|migrator|postgres] [PSQL ARGUMENTS]", "look into the database",
             database.psql),
    "backup": ("[FILE]", "write a backup of the database",
               lambda state, argv: database.script(state, "backup", argv)),
    "restore": ("FILE", "put the database back to a backup",
                lambda state, argv: database.script(state, "restore", argv)),
    "lock": ("[UV OPTIONS]", "write locks/*.txt anew from pyproject.toml (--upgrade: with newer versions)",
             lambda _state, argv: lock(argv)),
}  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Run one command; returns its exit code: 0, 1 for a failure, 2 for wrong usage, 130 when interrupted."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # logs may hold what this terminal cannot show
        sys.stdout.reconfigure(errors="replace")
    try:
        if argv and argv[0] in PASSED_ON:
            usage, about, function = PASSED_ON[argv[0]]
            told_by_itself = ("bench", "compare", "faults", "matrix", "peers", "report")
            if argv[0] not in told_by_itself and argv[1:2] in (["-h"], ["--help"]):
                print(f"usage: ./kit {argv[0]} {usage}\n\n{about}")
                return 0
            return function(State(), argv[1:])
        return run(parse(argv))
    except KitError as error:
        print(f"kit: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        print(f"kit: {error.filename or 'the system says'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Run a command about the stack. Raises KitError."""
    state = State()
    match options.command:
        case "up":
            auto, chosen = ports.parse(options.ports) if options.ports else (False, {})
            return commands.up(state, commands.with_needs(options.only), auto, chosen, detach=options.detach)
        case "down":
            return commands.down(state, delete_data=options.delete_data)
        case "status":
            return commands.show_status(state, as_json=options.json)
        case "new":
            return new(options)
        case _:
            return commands.logs(state, options.names, follow=options.follow, lines=options.lines)


def new(options: argparse.Namespace) -> int:
    """Make a project and say how it goes on. Raises KitError."""
    place = project.new(options.name, example=options.example, proxy=options.proxy, into=options.into)
    print(f"Made {place} from examples/{options.example}, behind {options.proxy}; README.md says the rest:\n")
    print(f"    docker build -t pierhead {ROOT}     # once: the image of the server")
    print(f"    cd {place}\n    docker compose up --wait --build")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return what the command line says. Leaves the program, as argparse does, where it is wrong."""
    top, of_command = parser()
    if not argv:
        top.print_help(sys.stderr)
        raise SystemExit(2)
    options, unknown = top.parse_known_args(argv)
    if unknown:  # argparse would show the usage of ./kit, and not of the command
        of_command[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of all commands, and those of each."""
    top = argparse.ArgumentParser(
        prog="./kit",
        description="Run, test and measure the stack: the application, its proxies and its database.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    each: dict[str, argparse.ArgumentParser] = {}

    def command(name: str, about: str) -> argparse.ArgumentParser:
        each[name] = subparsers.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        return each[name]

    up = command("up", "start the stack and follow its logs; Ctrl-C stops it")
    up.add_argument(
        "--detach", "-d", action="store_true", help="return once everything is well; ./kit down stops it"
    )
    up.add_argument("--only", type=roles, default=[], metavar="ROLES",
                    help=f"of {','.join(commands.ROLES)}: these, and what they need")  # fmt: skip
    up.add_argument("--ports", action="append", default=[], metavar="auto|NAME=PORT",
                    help="random free ports, or a port to use and no other; repeatable. Names and defaults: "
                    + ", ".join(f"{name} {port}" for name, port in ports.DEFAULTS.items()))  # fmt: skip

    down = command("down", "stop the stack")
    down.add_argument("--delete-data", action="store_true", help="and remove its database, secrets and logs")

    status = command("status", "show what runs; exit code 0 if all of it is well")
    status.add_argument("--json", action="store_true", help="role -> url, pid, version, healthy, ...")

    logs = command("logs", "show the logs of the stack")
    logs.add_argument("names", nargs="*", metavar="ROLE", help="a role, or one process, such as app-2")
    logs.add_argument("--follow", "-f", action="store_true", help="and what comes, until Ctrl-C")
    logs.add_argument(
        "--lines", "-n", type=int, default=50, metavar="N", help="the last N of each (default 50)"
    )

    new = command("new", "write a project of your own, made from an example")
    new.add_argument("name", metavar="NAME", help="of the project, its folder and its images")
    new.add_argument("--example", choices=project.examples(), default="simple", help="(default simple)")
    new.add_argument("--proxy", choices=list(project.PROXIES), default="caddy", help="(default caddy)")
    new.add_argument(
        "--into", type=Path, default=Path(), metavar="DIR", help="where its folder goes (default: here)"
    )

    for name, (_, about, _) in PASSED_ON.items():
        subparsers.add_parser(name, help=about, add_help=False)
    return top, each


def roles(text: str) -> list[str]:
    """Split a list of roles at its commas (an argparse type)."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in commands.ROLES]:
        raise argparse.ArgumentTypeError(
            f"there is no role {unknown[0]!r}; there are: {', '.join(commands.ROLES)}"
        )
    return names
