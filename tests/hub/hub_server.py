"""A hub of one's own on 127.0.0.1, which serves made repositories and misbehaves on request.

Small files are served by the hub itself; large ones (safetensors) by a second server under another
name and port, to which the hub redirects as a real one does.
"""

import hashlib
import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith((".safetensors", ".bin"))


def etag_of(path: str, data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if is_large(path) else git_hash(data)


class Repository:
    """The files of one commit, and what the hub says of them."""

    def __init__(self, files: dict[str, bytes], revisions=("main",), commit=COMMIT):
        self.files, self.revisions, self.commit = files, {*revisions, commit}, commit

    def siblings(self) -> list[dict]:
        return [self.sibling(path, data) for path, data in sorted(self.files.items())]

    def sibling(self, path: str, data: bytes) -> dict:
        entry = {"rfilename": path, "size": len(data), "blobId": git_hash(data)}
        if is_large(path):
            entry["lfs"] = {"sha256": etag_of(path, data), "size": len(data), "pointerSize": 130}
        return entry

    def tree(self) -> list[dict]:
        entries = []
        for entry in self.siblings():
            listed = {"type": "file", "path": entry["rfilename"], "size": entry["size"]}
            listed["oid"] = entry["blobId"]
            if "lfs" in entry:
                listed["lfs"] = {"oid": entry["lfs"]["sha256"], "size": entry["size"]}
                listed["lfs"]["pointerSize"] = 130
            entries.append(listed)
        return entries


class Fault:
    """What happens to requests whose path ends with `path`: the first `times` of them, or all."""

    def __init__(self, path: str, act: Callable, times: int | None = None):
        self.path, self.act, self.times = path, act, times

    def takes(self, path: str) -> bool:
        if not path.endswith(self.path) or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):  # noqa: N802
        self.answer()

    def do_GET(self):  # noqa: N802
        self.answer()

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        try:
            with self.server.hub.lock:
                self.server.hub.requests.append((self.server.name, path, dict(self.headers)))
                fault = next((f for f in self.server.hub.faults if f.takes(path)), None)
                self.server.hub.enter(1)
            if fault is None or not fault.act(self):
                self.server.hub.serve(self, path)
        except OSError:
            self.close_connection = True  # the client went away
        finally:
            with self.server.hub.lock:
                self.server.hub.enter(-1)

    def head(self, status: int, length: int, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def refuse(self, status: int, code: str = "", **headers):
        if code:
            headers["X_Error_Code"] = code
        self.head(status, 0, **headers)
        return True

    def send(self, data: bytes, **headers):
        """The data, or the part of it that is asked for."""
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes=") and self.server.hub.knows_ranges:
            begin = int(wanted[6:].split("-")[0])
            if begin >= len(data):
                return self.refuse(416)
            headers["Content_Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            data = data[begin:]
            self.head(206, len(data), **headers)
        else:
            self.head(200, len(data), **headers)
        if self.command == "GET":
            self.wfile.write(data)
        return True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *about):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients that end a download
            super().handle_error(*about)


class Hub:
    """The hub and its other host; `with` starts and ends both."""

    def __init__(self, repositories: dict[str, Repository]):
        self.repositories, self.faults, self.requests = repositories, [], []
        self.knows_ranges, self.lock = True, threading.Lock()
        self.active = self.most_active = 0  # requests at the same time
        self.servers = [self.server("hub"), self.server("store")]
        self.endpoint = f"http://127.0.0.1:{self.servers[0].server_port}"
        self.store = f"http://localhost:{self.servers[1].server_port}"

    def server(self, name: str) -> Server:
        server = Server(("127.0.0.1", 0), Handler)
        server.name, server.hub = name, self
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def enter(self, count: int):
        self.active += count
        self.most_active = max(self.active, self.most_active)

    def fail(self, path: str, act: Callable, times: int | None = None):
        self.faults.append(Fault(path, act, times))

    def asked(self, ending: str, name: str | None = None) -> list[dict]:
        """The headers of the requests for a path."""
        return [h for n, p, h in self.requests if p.endswith(ending) and name in (None, n)]

    def serve(self, handler: Handler, path: str):
        if handler.server.name == "store":
            return handler.send(self.blob(path[1:]), Content_Type="application/octet-stream")
        parts = path[1:].split("/")
        if parts[:2] == ["api", "models"]:
            return self.describe(handler, "/".join(parts[2:4]), parts[4:])
        return self.resolve(handler, "/".join(parts[:2]), parts[3], "/".join(parts[4:]))

    def blob(self, etag: str) -> bytes:
        for repository in self.repositories.values():
            for path, data in repository.files.items():
                if etag_of(path, data) == etag:
                    return data
        raise OSError("no such blob")

    def find(self, handler: Handler, name: str, revision: str) -> Repository | None:
        repository = self.repositories.get(name)
        if repository is None:
            handler.refuse(401 if "Authorization" not in handler.headers else 404, "RepoNotFound")
            return None
        if revision not in repository.revisions:
            handler.refuse(404, "RevisionNotFound")
            return None
        return repository

    def describe(self, handler: Handler, name: str, rest: list[str]):
        """/api/models/NAME/revision/REVISION and …/tree/REVISION"""
        kind, revision = (rest[0], "/".join(rest[1:])) if rest else ("revision", "main")
        repository = self.find(handler, name, revision)
        if repository is None:
            return
        answer = repository.tree()
        if kind == "revision":
            answer = {"id": name, "sha": repository.commit, "siblings": repository.siblings()}
        handler.send(json.dumps(answer).encode(), Content_Type="application/json")

    def resolve(self, handler: Handler, name: str, revision: str, path: str):
        repository = self.find(handler, name, revision)
        if repository is None:
            return
        data = repository.files.get(path)
        if data is None:
            handler.refuse(404, "EntryNotFound", X_Repo_Commit=repository.commit)
            return
        etag = etag_of(path, data)
        about = {"X_Repo_Commit": repository.commit}
        if is_large(path):
            about |= {"X_Linked_Etag": f'"{etag}"', "X_Linked_Size": len(data)}
            handler.head(302, 0, Location=f"{self.store}/{etag}", **about)
        else:
            handler.send(data, ETag=f'"{etag}"', **about)


def model_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Ways to misbehave.


def status(number: int, code: str = "", **headers) -> Callable:
    return lambda handler: handler.refuse(number, code, **headers)


def cut_after(count: int, data: bytes) -> Callable:
    """Promises all of it (from the byte that is asked for), and ends the connection early."""

    def act(handler: Handler):
        handler.head(200, len(data))
        handler.wfile.write(data[:count])
        handler.close_connection = True
        return True

    return act


def stall_after(count: int, data: bytes, seconds: float) -> Callable:
    def act(handler: Handler):
        handler.head(200, len(data))
        handler.wfile.write(data[:count])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return act


def late(seconds: float) -> Callable:
    return lambda handler: time.sleep(seconds)


def send(data: bytes) -> Callable:
    return lambda handler: handler.send(data)
