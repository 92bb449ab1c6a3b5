"""Who may ask the table app for what: names of hosts, other sites, headers, names of files."""

import pytest

from serve_client import picture
from tallow.serve.table.guard import Hosts, is_loopback
from tallow.serve.table.uploads import clean_name

PNG = picture()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io",
             "10.0.0.1", "[::2]:80", "", "localhost@evil.example", "0x7f000001"],
)  # fmt: skip
def test_other_names_are_refused(shared, host):
    answer = shared.get("/", Host=host)
    assert answer.status in (400, 421), host
    if answer.status == 421:
        assert "not known by that name" in answer.json["error"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:9999", "[::1]:8000"])
def test_own_names_are_taken(shared, host):
    assert shared.get("/", Host=host).status == 200


def test_names_beyond_loopback():
    everywhere = Hosts("0.0.0.0", ["Tables.Example"])
    for host in ("192.168.1.5:8000", "tables.example", "[fe80::1]", "localhost"):
        assert everywhere.takes(host), host
    for host in ("evil.example", "192.168.1.5.evil.example", ""):
        assert not everywhere.takes(host), host
    assert Hosts("box.local").takes("box.local:8000")
    assert not Hosts("127.0.0.1").takes("192.168.1.5")
    assert is_loopback("127.0.0.5") and is_loopback("::1") and is_loopback("localhost")
    assert not is_loopback("0.0.0.0") and not is_loopback("::")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1234"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
    ids=str,
)
def test_other_sites_are_refused(shared, headers):
    for method, path in (("POST", "/api/jobs"), ("DELETE", "/api/jobs/x"), ("GET", "/api/limits")):
        answer = shared.ask(method, path, **headers)
        assert answer.status == 403, (method, headers)
        assert answer.json["error"] == "Pages of other sites may not use this server."


def test_own_page_is_not_refused(shared):
    own = {"Origin": f"http://127.0.0.1:{shared.port}", "Sec_Fetch_Site": "same-origin"}
    assert shared.upload(("a.png", PNG), **own).status == 201
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate",
            "Sec_Fetch_Dest": "document"}  # fmt: skip
    assert shared.get("/", **link).status == 200
    assert shared.get("/", **link | {"Sec_Fetch_Dest": "iframe"}).status == 403


@pytest.mark.parametrize("path", ["/", "/api/limits", "/nothing", "/api/jobs/none"])
def test_every_answer_has_safe_headers(shared, path):
    headers = shared.get(path).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/",
     "/static/page.css%00", "/static//etc/passwd", "/docs", "/openapi.json", "/api/jobs/../x"],
)  # fmt: skip
def test_paths_lead_nowhere_else(shared, path):
    answer = shared.get(path)
    assert answer.status == 404
    assert answer.json["error"]


def test_other_methods(shared):
    assert shared.ask("PUT", "/").status == 405
    assert shared.ask("OPTIONS", "/api/jobs").status == 405
    assert shared.get("/api/jobs").status == 405


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\scan.png", "scan.png"),
        ("/", "file"),
        ("..", "file"),
        ("", "file"),
        ("a\x00b\r\n\x1b[1m.png", "ab[1m.png"),
        ("gnp.\u202eexe.pdf", "gnp.exe.pdf"),
        ("Übersicht – 2024.png", "Übersicht – 2024.png"),
        ("表.png", "表.png"),
        ("\ud800.png", "png"),
        (" . ", "file"),
    ],
)
def test_names_are_cleaned(name, clean):
    assert clean_name(name) == clean


def test_long_names_keep_their_suffix():
    long = clean_name("x" * 5000 + ".png")
    assert len(long) == 120 and long.endswith("….png")
    assert len(clean_name("y" * 5000)) == 120


@pytest.mark.parametrize("name", ["../../x.png", "a\u202eb.png", "n" * 4000 + ".png", 'q"uote.png'])
def test_hostile_names_in_uploads(shared, name):
    answer = shared.upload((name, PNG))
    assert answer.status == 201
    [file] = answer.json["files"]
    assert "/" not in file["name"] and "\u202e" not in file["name"] and len(file["name"]) <= 120
    shared.events(answer.json["id"])
    told = shared.get(f"/api/jobs/{answer.json['id']}/download.csv")
    assert told.status == 200
    assert told.headers["content-disposition"].isascii()
    assert shared.ask("DELETE", f"/api/jobs/{answer.json['id']}").status == 200
