"""A stand-in of the Hugging Face Hub: what `huggingface_hub` asks of it, over HTTP.

Repositories are kept in memory: branches, commits, files; those that are binary go by LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_of_the_owner"


@dataclass
class Repository:
    """Commits, each all files by name; branches; and whether it is private."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def at(self, revision):
        """The commit that a revision is, or None."""
        commit = self.branches.get(revision, revision)
        return commit if commit in self.commits else None

    def commit(self, files, branch="main"):
        """All files of a branch, as a new commit."""
        number = hashlib.sha1(f"{len(self.commits)} {id(self)}".encode()).hexdigest()
        self.commits[number] = dict(files)
        self.branches[branch] = number
        return number


def is_large(name):
    """Whether the hub keeps a file by its SHA-256."""
    return name.endswith((".safetensors", ".png", ".pkl"))


class StandIn:
    """The hub, for as long as the block.

    Attributes:
        repositories: What it holds, by name.
        asked: The requests that it had: method and path.
        fail: Path → status: what it answers instead, of what a path contains.
        cut: Whether it sends only half of each large file.
        stall: Whether it answers nothing until the end.
    """

    def __init__(self):
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fail: dict[str, int] = {}
        self.cut = False
        self.stall = False
        self.ended = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # pyright: ignore[reportAttributeAccessIssue]
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def files(self, name, revision="main"):
        """The files of a repository."""
        repository = self.repositories[name]
        return repository.commits[repository.branches[revision]]

    def change(self, name, files, branch="main"):
        """A new commit with some files changed; None removes one."""
        kept = {**self.files(name, branch), **files}
        whole = {key: value for key, value in kept.items() if value is not None}
        return self.repositories[name].commit(whole, branch)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> StandIn:
        return self.server.hub  # pyright: ignore[reportAttributeAccessIssue]

    def log_message(self, format, *args):  # noqa: A002
        """Says nothing."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_PUT(self):
        self._answer()

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        self.hub.asked.append(f"{self.command} {url.path}")
        if self.hub.stall:
            self.hub.ended.wait(60)
            return
        for part, status in self.hub.fail.items():
            if part in url.path:
                self._json({"error": "the stand-in was told to fail"}, status)
                return
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts == ["api", "repos", "create"]:
            self._create()
        elif parts == ["api", "validate-yaml"]:
            self._json({"errors": [], "warnings": []})
        elif parts[0] == "blobs":
            self._blob(parts[1])
        else:
            name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2]).removesuffix(".git")
            self._of_repository(name, parts, parse_qs(url.query))

    def _of_repository(self, name, parts, query):
        repository = self.hub.repositories.get(name)
        what = parts[4] if len(parts) > 4 else "revision"
        revision = parts[5] if len(parts) > 5 else "main"
        if repository is None or (repository.private and not self._owner()):
            self._json({"error": "Repository not found"}, 401, {"X-Error-Code": "RepoNotFound"})
        elif repository.gated and not self._owner():
            self._json({"error": "Ask for it"}, 403, {"X-Error-Code": "GatedRepo"})
        elif parts[2:4] == ["info", "lfs"]:
            self._batch()
        elif parts[0] != "api":
            self._resolve(repository, parts[3], "/".join(parts[4:]))
        elif what == "revision":
            self._info(repository, name, revision, "blobs" in query)
        elif not self._owner():
            self._json({"error": "You may not write here"}, 403)
        else:
            getattr(self, f"_{what}")(repository, name, revision)

    def _owner(self):
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _create(self):
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if not self._owner():
            self._json({"error": "Invalid username or password."}, 401)
            return
        if name in self.hub.repositories:
            url = f"{self.hub.url}/{name}"
            self._json({"error": "You already created this model repo", "url": url}, 409)
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        repository = self.hub.repositories[name] = Repository(bool(private))
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self._json({"url": f"{self.hub.url}/{name}"})

    def _info(self, repository, name, revision, blobs):
        commit = repository.at(revision)
        if commit is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
            return
        siblings = []
        for file, content in repository.commits[commit].items():
            one = {"rfilename": file}
            if blobs:
                one["size"] = len(content)
                if is_large(file):
                    digest = hashlib.sha256(content).hexdigest()
                    one["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(one)
        self._json(
            {
                "id": name, "modelId": name, "sha": commit, "private": repository.private,
                "siblings": siblings, "tags": [], "downloads": 0, "likes": 0,
            }
        )  # fmt: skip

    def _resolve(self, repository, revision, file):
        commit = repository.at(revision)
        content = None if commit is None else repository.commits[commit].get(file)
        if content is None:
            code = "RevisionNotFound" if commit is None else "EntryNotFound"
            self._json({"error": "Not found"}, 404, {"X-Error-Code": code})
            return
        about = {"X-Repo-Commit": commit}
        if not is_large(file):
            etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            self._send(content, 200, {**about, "ETag": f'"{etag}"'})
            return
        digest = hashlib.sha256(content).hexdigest()
        self.hub.blobs[digest] = content
        about |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        # Another host, as the hub's own store of large files is.
        location = f"{self.hub.url.replace('127.0.0.1', 'localhost')}/blobs/{digest}"
        self._send(b"", 302, {**about, "Location": location})

    def _blob(self, digest):
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != digest:
                self._json({"error": "other bytes"}, 400)
                return
            self.hub.blobs[digest] = self.body
            self._send(b"", 200, {})
            return
        self._send(self.hub.blobs[digest], 200, {"ETag": f'"{digest}"'}, cut=self.hub.cut)

    def _preupload(self, repository, name, revision):
        files = [
            {
                "path": one["path"], "shouldIgnore": False,
                "uploadMode": "lfs" if is_large(one["path"]) else "regular",
            }
            for one in json.loads(self.body)["files"]
        ]  # fmt: skip
        self._json({"files": files})

    def _batch(self):
        if not self._owner():
            self._json({"error": "You may not write here"}, 403)
            return
        objects = []
        for one in json.loads(self.body)["objects"]:
            told = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.blobs:
                told["actions"] = {"upload": {"href": f"{self.hub.url}/blobs/{one['oid']}"}}
            objects.append(told)
        self._json({"transfer": "basic", "objects": objects})

    def _branch(self, repository, name, branch):
        if branch in repository.branches:
            self._json({"error": "Reference already exists"}, 409)
            return
        repository.branches[branch] = repository.branches["main"]
        self._json({})

    def _commit(self, repository, name, branch):
        lines = [json.loads(line) for line in self.body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent not in (None, repository.branches[branch]):
            self._json({"error": "A commit has happened since"}, 412)
            return
        files = dict(repository.commits[repository.branches[branch]])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        number = repository.commit(files, branch)
        url = f"{self.hub.url}/{name}/commit/{number}"
        self._json({"commitUrl": url, "commitOid": number, "pullRequestUrl": None})

    def _json(self, value, status=200, headers=None):
        about = {"Content-Type": "application/json", **(headers or {})}
        self._send(json.dumps(value).encode(), status, about)

    def _send(self, content, status, headers, *, cut=False):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)
