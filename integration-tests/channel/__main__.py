"""`python3 integration-tests/channel build|serve`; see the package's docstring."""

from __future__ import annotations

import argparse
import functools
import http.server
import sys
from pathlib import Path

# Python puts this directory into the path; the package is found from its parent.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import channel


def main() -> None:
    parser = argparse.ArgumentParser(prog="channel", description=channel.__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("build", "build what is missing and print the directory"),
        ("serve", "build what is missing and serve it over loopback HTTP"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("kind", nargs="?", choices=channel.KINDS, help="full by default")
        command.add_argument("--tiny", action="store_true", help="the same as `tiny`")
        command.add_argument("--root", default="/", help="root of the system whose Python is used")
        command.add_argument("--image", help="container image whose Python is used")
        command.add_argument("--out", help="directory to build in, instead of the cache")
    command.add_argument("--port", type=int, default=0, help="0 takes a free one")
    arguments = parser.parse_args()
    directory = channel.build(
        arguments.kind or ("tiny" if arguments.tiny else "full"),
        root=arguments.root,
        image=arguments.image,
        out=arguments.out,
    )
    if arguments.command == "build":
        print(directory)
    else:
        serve(directory, arguments.port)


def serve(directory: Path, port: int) -> None:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
