"""Several visitors at one server, by Streamlit's own protocol: nothing of one is seen by another, or stays."""

import time
from collections.abc import Iterator

import pytest
import requests
from bundled import BUNDLED_IDS

from benchmarks.app_server import ClientError, Server
from benchmarks.bench_users import drawn_photo
from benchmarks.streamlit_client import Visitor

#: Words that one visitor brings, and nobody else may see.
SECRETS = ("annas-wedding-7f3a", "annas_attribute")
#: The list of attributes in the view of attention, of the bundled run that comes first.
HEAT_BY = f"bias_heat_by_{BUNDLED_IDS['inceptionv3']}"
#: What the Quality page says where the hash distance is not the one in force.
MOVED = "hash distance 4"
#: After half of it, here, a visitor who has no connection is taken to have left.
SECONDS_TO_LEAVE = 4

pytestmark = pytest.mark.timeout(900)  # a server of its own, and pages that measure something on their first visit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("many") / "workspace"
    with Server(home, options={"server.disconnectedSessionTTL": str(SECONDS_TO_LEAVE)}) as server:
        yield server


def everything(visitor: Visitor) -> bytes:
    """All that a visitor was ever sent: messages, pictures and files."""
    return b"\n".join([*(visitor.messages or ()), *visitor.media.values()])


def test_nothing_of_one_visitor_is_seen_by_another(server: Server) -> None:
    with Visitor(server.address, keep=True) as anna, Visitor(server.address, keep=True) as berta:
        anna.open()
        berta.open()
        anna.go("datasets")
        assert anna.shown("imgs"), "faces"
        anna.choose("filter_name", "no face has this name")
        assert not anna.shown("imgs")
        anna.go("quality")
        anna.choose("quality_hash_distance", 9)
        assert anna.has(MOVED)
        anna.go("bias")
        anna.choose("bias_view", ["Groups"])
        face = anna.download("Template (CSV)")[1].decode().splitlines()[1].split(",")[0]
        anna.upload("bias_upload", {"attributes.csv": f"face_id,{SECRETS[1]}\n{face},{SECRETS[1]}\n".encode()})
        anna.choose("bias_view", ["Attention"])
        anna.choose(HEAT_BY, SECRETS[1])
        assert anna.has("All figures, with n and intervals")
        anna.go("explain")
        anna.upload("explain_files_some", {f"{SECRETS[0]}.jpg": drawn_photo(1), f"{SECRETS[0]}-2.jpg": drawn_photo(2)})
        assert anna.has("All faces as CSV")
        annas_csv = anna.download("All faces as CSV")[1]
        assert SECRETS[0].encode() in annas_csv
        private = anna.pictures()
        assert len(private) >= 3, "the photo, its faces, the CSV"

        berta.go("datasets")
        assert berta.shown("imgs"), "Anna's filter is hers"
        berta.go("quality")
        assert not berta.has(MOVED), "Anna's threshold is hers"
        berta.go("bias")
        berta.choose("bias_view", ["Groups"])
        berta.choose("bias_view", ["Attention"])
        assert berta.has("All figures, with n and intervals")
        berta.go("explain")
        berta.upload("explain_files_some", {"berta.jpg": drawn_photo(3)})
        assert berta.has("berta.jpg")
        assert berta.has("chip"), "a verdict"
        seen = everything(berta)
        for secret in (*SECRETS, anna.session_id):
            assert secret.encode() in everything(anna), "else the test proves nothing"
            assert secret.encode() not in seen, secret
        assert not private & berta.media.keys()
        assert not set(anna.media.values()) & set(berta.media.values()) - faces_of_the_sample(berta)


def faces_of_the_sample(visitor: Visitor) -> set[bytes]:
    """Pictures that everybody sees: what the other pages show of the shared workspace."""
    here = {path for path in visitor.media if path not in visitor.pictures()}
    return {visitor.media[path] for path in here}


def test_who_has_left_is_forgotten_without_anybody_else_leaving(server: Server) -> None:
    with Visitor(server.address, keep=True) as berta:
        berta.open()
        with Visitor(server.address, keep=True) as anna:
            anna.open("explain")
            anna.upload("explain_files_some", {"a.jpg": drawn_photo(4), "b.jpg": drawn_photo(5)})
            anna.download("All faces as CSV")
            private = anna.pictures()
            assert all(anna.fetch(path).ok for path in private)
            session = anna.session_id
        until = time.monotonic() + 60
        while time.monotonic() < until and any(berta.fetch(path).ok for path in private):
            time.sleep(0.5)
        assert [berta.fetch(path).status_code for path in private] == [404] * len(private)
        late = berta.web.put(berta.url(f"_stcore/upload_file/{session}/1"), files={"file": ("x.jpg", b"x")})
        assert late.status_code == 400, "no upload into a session that is gone"
        berta.go("explain")
        assert not berta.has("a.jpg")


def test_a_connection_that_comes_back_finds_its_photo(server: Server) -> None:
    with Visitor(server.address) as anna:
        anna.open("explain")
        anna.upload("explain_files_some", {"a.jpg": drawn_photo(6)})
        session = anna.session_id
        anna.reconnect()
        time.sleep(SECONDS_TO_LEAVE)
        anna.choose("explain_whole", True)
        assert anna.session_id == session
        assert anna.has("a.jpg")


def test_an_upload_asks_for_the_cookie_against_forged_requests(server: Server) -> None:
    with Visitor(server.address) as anna:
        anna.open("explain")
        anna.web.cookies.clear()
        with pytest.raises(requests.HTTPError, match="403"):
            anna.upload("explain_files_some", {"a.jpg": drawn_photo(7)})


def test_a_widget_lets_through_what_the_server_takes(server: Server) -> None:
    with Visitor(server.address) as anna:
        anna.open("explain")
        anna.choose("explain_view", ["Video"])
        most = anna.widget("explain_video").max_upload_size_mb * 1024 * 1024
        anna.upload("explain_video", {"v.mp4": bytes(most - 1000)}, "video/mp4")  # the form around it counts too
        assert anna.has("v.mp4: "), "why it is no video"
        with pytest.raises(requests.HTTPError, match="413"):
            anna.upload("explain_video", {"v.mp4": bytes(most + 1)}, "video/mp4")


def test_the_client_sees_what_fails(server: Server) -> None:
    with Visitor(server.address) as anna:
        anna.open()
        with pytest.raises(ClientError, match="the page has no explain_files_some"):
            anna.widget("explain_files_some")
        with pytest.raises(ClientError, match="within"):
            anna.wait(lambda visitor: False, 0.1)
