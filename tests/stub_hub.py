"""A model hub on loopback: serves folders as repositories, with the headers and refusals of the real one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


@dataclass
class StubHub:
    """`folders` by repository; `claims` gives sizes that a listing tells; `gated` lists, but hands out nothing."""

    folders: dict[str, Path] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    broken: bool = False
    asked: list[str] = field(default_factory=list)  # path of each request
    tokens: list[str] = field(default_factory=list)  # Authorization headers that came with them
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        if self.broken:
            return 503, {}, b""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        listing = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if listing else parts[:2])
        folder = self.folders.get(repo)
        if folder is None:
            return 401, {"X-Error-Code": "RepoNotFound"}, b""  # to strangers the real hub denies knowing it
        if listing:
            if parts[4:] not in ([], ["revision", "main"], ["revision", "refs/pr/3"]):
                return 404, {"X-Error-Code": "RevisionNotFound"}, b""
            files = [
                {"rfilename": file.name, "size": self.claims.get(repo, file.stat().st_size)}
                for file in sorted(folder.iterdir())
            ]
            return 200, {}, json.dumps({"id": repo, "sha": COMMIT, "siblings": files}).encode()
        if repo in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        file = folder / parts[4]
        if not file.is_file():
            return 404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b""
        body = file.read_bytes()
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{sha256(body).hexdigest()}"'}, body


@contextmanager
def serving(hub: StubHub) -> Iterator[StubHub]:
    """The hub while it can be reached under `hub.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            if token := self.headers.get("Authorization"):
                hub.tokens.append(token)
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
