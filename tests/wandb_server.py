"""A stand-in for the server of Weights & Biases, as far as a training asks it, on loopback."""

import gzip
import http.server
import json
import threading
import time
from contextlib import contextmanager

PROJECT = {"id": "1", "name": "p", "entity": {"id": "1", "name": "e"}}
SEQUENCE = {"id": "1", "latestArtifact": {"id": "1", "versionIndex": 0}}
FIXED = {
    "viewer": {"id": "1", "username": "u", "entity": "e", "flags": "{}", "teams": {"edges": []}},
    "serverInfo": {"cliVersionInfo": {"max_cli_version": "9.0.0"}, "features": []},
    "createRunFiles": {"runID": "1", "uploadHeaders": [], "files": []},
    # As if each table and model were there already: nothing is uploaded.
    "createArtifact": {
        "artifact": {"id": "1", "digest": "", "state": "COMMITTED", "artifactSequence": SEQUENCE}
    },
    "useArtifact": {"artifact": {"id": "1"}},
    "project": {**PROJECT, "artifact": {"artifactType": {"name": "run_table"}}},
}


class Record:
    """What the server was told of one run.

    Attributes:
        starts: What each start said of the run.
        rows: Rows of the charts, by their number.
        summary: The last summary.
        ends: The exit codes with which starts ended.
    """

    def __init__(self):
        self.starts, self.rows, self.summary, self.ends = [], {}, {}, []
        self.lines = []  # of the charts, as they came

    def add(self, content):
        """Add what the file stream brings."""
        files = content.get("files") or {}
        for line in files.get("wandb-history.jsonl", {}).get("content", []):
            self.lines.append(line)
            row = json.loads(line)
            self.rows.setdefault(row["_step"], {}).update(row)
        for line in files.get("wandb-summary.json", {}).get("content", []):
            self.summary = json.loads(line)
        if content.get("complete"):
            self.ends.append(content.get("exitcode"))

    def bucket(self, name):
        """Return the run as the server describes it."""
        return {
            "id": "1", "name": name, "displayName": name, "config": "{}", "project": PROJECT,
            "summaryMetrics": json.dumps(self.summary), "historyLineCount": len(self.lines),
            "logLineCount": 0, "eventsLineCount": 0, "historyTail": json.dumps(self.lines[-1:]),
            "eventsTail": "[]", "tags": [], "notes": "", "wandbConfig": "{}",
        }  # fmt: skip


class Server(http.server.ThreadingHTTPServer):
    """Keeps what it is told in ``runs``, by the id of the run.

    Args:
        hangs: Whether it never takes what is uploaded.
    """

    daemon_threads = True

    def __init__(self, hangs):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hangs, self.runs = hangs, {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, query, told):
        """Return the data that answer a query of GraphQL."""
        name = told.get("name") or ""
        if "RunResumeStatus" in query:
            known = self.runs.get(name)
            bucket = None if known is None else known.bucket(name)
            return {"model": {**PROJECT, "bucket": bucket}}
        if "upsertBucket" in query:
            is_new = name not in self.runs
            record = self.runs.setdefault(name, Record())
            record.starts.append(told)
            return {"upsertBucket": {"inserted": is_new, "bucket": record.bucket(name)}}
        return FIXED


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        answer = {}
        if self.path == "/graphql":
            request = json.loads(body)
            query, told = request["query"], request.get("variables") or {}
            answer = {"data": self.server.answer(query, told)}
        elif self.server.hangs:
            time.sleep(600)
        elif self.path.endswith("/file_stream"):
            self.server.runs[self.path.split("/")[-2]].add(json.loads(body))
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def serving(monkeypatch, *, hangs=False):
    """Yield a server that runs, to which W&B's client is directed."""
    server = Server(hangs)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    yield server
    server.shutdown()
