"""A server of the table app in a thread, and a client of it that can do what browsers do not."""

import asyncio
import http.client
import io
import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from serve_readers import TEXTS, fake
from tallow.serve.running import listen, server
from tallow.serve.table import Limits, make_app

BOUNDARY = "----tallow-boundary"


def picture(form="PNG", size=(420, 260), frames=1, texts=TEXTS, **options):
    """A picture of a ruled table, by default that which the fake reader finds: bytes of a file."""
    made = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(made)
    font = ImageFont.load_default(size=18)
    w, h = (size[0] - 40) / len(texts[0]), (size[1] - 40) / len(texts)
    for r, row in enumerate(texts):
        for c, text in enumerate(row):
            box = (20 + c * w, 20 + r * h, 20 + (c + 1) * w, 20 + (r + 1) * h)
            draw.rectangle(box, outline="black")
            draw.text((box[0] + 8, box[1] + h / 2 - 10), text, "black", font)
    if frames > 1:
        options |= {"save_all": True, "append_images": [made] * (frames - 1)}
    out = io.BytesIO()
    made.save(out, form, **options)
    return out.getvalue()


def multipart(files, options=None):
    """(body, content type) of an upload; `files` are (name, bytes)."""
    parts = []
    if options is not None:
        head = 'Content-Disposition: form-data; name="options"'
        parts.append((head, json.dumps(options).encode()))
    for name, data in files:
        quoted = name.replace('"', "%22").encode("utf-8").decode("latin-1")
        head = f'Content-Disposition: form-data; name="files"; filename="{quoted}"'
        parts.append((f"{head}\r\nContent-Type: application/octet-stream", data))
    body = b"".join(
        f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode("latin-1") + data + b"\r\n" for head, data in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"


class Answer:
    """A response: status, headers, bytes."""

    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """Asks one server."""

    def __init__(self, port, folder, jobs):
        self.port, self.folder, self.jobs = port, folder, jobs

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method, path, body=None, **headers):
        """One request; a header's `_` means `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict | list):
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json"} | sent
        connection = self.connection()
        try:
            connection.request(method, path, body, sent)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def upload(self, *files, options=None, **headers):
        body, kind = multipart(files, options)
        return self.ask("POST", "/api/jobs", body, Content_Type=kind, **headers)

    def events(self, id):
        """All events of a job, to its end."""
        lines = self.get(f"/api/jobs/{id}/events").body.decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        return events[:-1]

    def finished(self, *files, options=None):
        """A job, when it is done."""
        answer = self.upload(*files, options=options)
        assert answer.status == 201, answer.body
        self.events(answer.json["id"])
        return self.get(f"/api/jobs/{answer.json['id']}").json

    def left_over(self):
        """The files of all jobs, on the disk."""
        return sorted(
            path.relative_to(self.folder) for path in self.folder.rglob("*") if path.name != "lock"
        )


def eventually(holds, seconds=15.0):
    """Wait until `holds()`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


@contextmanager
def served(folder: Path, factory=fake, **limits):
    """A client of a new server with its temporary files in `folder`."""
    app = make_app(factory, Limits(**limits), temporary=folder)
    listening = listen("127.0.0.1", 0)
    running = server(app, app.state.jobs.close)
    thread = threading.Thread(target=lambda: asyncio.run(running.serve([listening])))
    thread.start()
    try:
        eventually(lambda: running.started)
        yield Client(listening.getsockname()[1], folder, app.state.jobs)
    finally:
        running.should_exit = True
        thread.join(30)
        listening.close()
        assert not thread.is_alive()
        assert not list(folder.iterdir()), "temporary files outlive the server"
