"""The page over http, on this machine alone, for networks that are too large for one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cnntrain.errors import UserError

HOST, PORT = "127.0.0.1", 8000  # another port is taken where this one is in use
NAMES = (HOST, "localhost")  # a page elsewhere whose name is made to point here (DNS rebinding) gets nothing


def serve(page: str, parts: Mapping[str, bytes], tell: Callable[[str], None]) -> None:
    """Serve a page until Ctrl-C.

    Args:
        page: HTML.
        parts: what it asks for, by name.
        tell: is called with the address, once it answers.

    Raises:
        UserError: no port is free.
    """
    content = {f"/{name}": ("application/octet-stream", part) for name, part in parts.items()}
    content["/"] = ("text/html; charset=utf-8", page.encode())
    with server_of(handler(content)) as server:
        tell(f"http://{HOST}:{server.server_address[1]}/")
        server.serve_forever(poll_interval=0.2)


def server_of(kind: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """Return a server on the usual port, or on a free one."""
    with suppress(OSError):
        return ThreadingHTTPServer((HOST, PORT), kind)
    try:
        return ThreadingHTTPServer((HOST, 0), kind)
    except OSError as error:
        raise UserError(f"--serve: no port of {HOST} is free: {error.strerror}") from error


def handler(content: Mapping[str, tuple[str, bytes]]) -> type[BaseHTTPRequestHandler]:
    """Return what answers requests: with a type and bytes by their path, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        """Answers GET."""

        def do_GET(self) -> None:
            """Send what lies at a path."""
            if self.headers.get("Host", "").partition(":")[0] not in NAMES:
                self.send_error(403)
                return
            if self.path not in content:
                self.send_error(404)
                return
            kind, data = content[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(ConnectionError):  # of a window that was closed
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing about requests."""

    return Handler
