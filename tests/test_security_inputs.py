"""Hostile names and files: no path leads out, no text is obeyed, and no small file takes all memory or time."""

import csv
import io
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import write_photo
from html_page import Page
from written_runs import write_run

from maskdet.bias.store import find_path, own_path
from maskdet.bias.uploaded import read_attribute_csv
from maskdet.catalog import DATA_DIR
from maskdet.dataset_folders import find_datasets
from maskdet.decisions import from_csv
from maskdet.document import Document, Points, Section, Table, Text, to_html, to_markdown
from maskdet.download import parse_handle
from maskdet.errors import MaskDetError, RunError
from maskdet.facetable import scan
from maskdet.markdown import code, plain, sentence
from maskdet.readers import read_dataset
from maskdet.reports import latex
from maskdet.runs import find_run, find_unfinished, list_runs, open_run, unfinished_runs
from maskdet.split import load_split
from maskdet.terminal import say
from maskdet.video import VideoError, sample_frames
from maskdet.workspace import Workspace, write_json
from ui.text import chart_name

ROOT = DATA_DIR.parent
#: Names that lead out of a folder, or would on some system.
WAYS_OUT = [
    "../outside", "..", ".", "", "/etc/passwd", "a/../../outside", "..\\outside", "C:\\Windows\\x", "\\\\server\\share",
    "a\x00b", "x" * 5000, "\u2025/outside", "\uff0e\uff0e\uff0foutside", "%2e%2e%2foutside", "~root", "file:///etc/passwd",
    "--help", "-rf", ".hidden", "a\nb",
]  # fmt: skip
#: Ways out that are no plain names on any system we run on.
NO_NAMES = ["../outside", "..", ".", "", "/etc/passwd", "a/../../outside", "..\\outside", "C:\\Windows\\x", ".hidden"]


# --- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS_OUT)
def test_a_run_that_names_another_place(workspace: Workspace, name: str) -> None:
    folder = write_run(workspace, "cnn-1").folder
    record = {**open_run(folder).record, "id": name}
    write_json(folder / "run.json", record)
    with pytest.raises(RunError, match="a run's folder is called as the run is"):
        open_run(folder)
    assert all(run.is_bundled for run in list_runs(workspace))
    with pytest.raises(RunError, match="There is no run"):
        find_run(workspace, name or "cnn-1")
    partial = workspace.path("runs", ".cnn-2.partial")
    write_json(partial / "plan.json", {"id": name, "model": "cnn"})
    assert unfinished_runs(workspace) == []
    with pytest.raises(RunError, match="There is no unfinished training"):
        find_unfinished(workspace, name)


@pytest.mark.parametrize("name", ["-rf", "--help", "a b", "a;b", "$(x)"])
def test_a_run_whose_folder_could_be_taken_for_an_option(workspace: Workspace, name: str) -> None:
    with pytest.raises(RunError, match="a run's folder is called as the run is"):
        write_run(workspace, name)


@pytest.mark.parametrize("name", NO_NAMES)
def test_results_and_splits_have_plain_names(workspace: Workspace, name: str) -> None:
    for parts in ((name, "x.json", None), ("abc", name, None), ("abc", "x.json", name)):
        with pytest.raises(MaskDetError, match="is no name of a result"):
            own_path(workspace, *parts)
        with pytest.raises(MaskDetError, match="is no name of a result"):
            find_path(workspace, *parts)


@pytest.mark.parametrize("name", [name for name in WAYS_OUT if name])
def test_a_split_is_named_by_its_fingerprint(own: Workspace, name: str) -> None:
    from maskdet.facetable import load_faces

    with pytest.raises(MaskDetError, match="is no fingerprint of a split"):
        load_split(own, load_faces(own), name)


@pytest.mark.parametrize("name", ["../x", "..", "/etc", "a/b", "a\\b", "--home=/x", ".x", "\x00", "", "a\nb", "x;y"])
def test_a_dataset_cannot_be_called_so(datasets: Path, name: str) -> None:
    with pytest.raises(MaskDetError, match="A dataset's id is made of letters"):
        find_datasets(datasets, name)


@pytest.mark.parametrize(
    "text",
    ["../..", "a/../b", "--force/x", "file:///etc/passwd", "a\\b", "a/-b", "https://evil.example/a/b", "a/b;c", "a"],
)
def test_a_handle_is_an_owner_and_a_name(text: str) -> None:
    with pytest.raises(MaskDetError, match="A Kaggle handle has the form"):
        parse_handle(text)


@pytest.fixture
def with_secret(tmp_path: Path) -> tuple[Path, Path]:
    """A dataset's folder, and beside it a photo that is none of it."""
    write_photo(tmp_path / "secret.png")
    folder = tmp_path / "dataset"
    write_photo(folder / "images" / "own.png")
    return folder, tmp_path / "secret.png"


def as_voc(folder: Path, name: str) -> None:
    (folder / "annotations").mkdir(exist_ok=True)
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>"
    text = f"<annotation><filename>{name}</filename><object><name>with_mask</name>{box}</object></annotation>"
    (folder / "annotations/secret.xml").write_text(text)


def as_json(folder: Path, name: str) -> None:
    import json

    face = {"BoundingBox": [1, 1, 20, 20], "classname": "face_with_mask"}
    (folder / "secret.json").write_text(json.dumps({"FileName": name, "Annotations": [face]}))


def as_csv(folder: Path, name: str) -> None:
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["name", "x1", "x2", "y1", "y2", "classname"], [name, 1, 1, 20, 20, "with_mask"]])


@pytest.mark.parametrize("write", [as_voc, as_json, as_csv])
@pytest.mark.parametrize(
    "way", ["../../secret.png", "../secret.png", "{absolute}", "..\\secret.png", "file://{absolute}"]
)
def test_an_annotation_names_only_photos_of_its_dataset(
    with_secret: tuple[Path, Path], write: Callable[[Path, str], None], way: str
) -> None:
    folder, secret = with_secret
    write(folder, way.format(absolute=secret))
    reading = read_dataset(folder)
    assert reading.faces == []
    assert any("secret" in reject.reason and "is missing" in reject.reason for reject in reading.rejects)


@pytest.mark.parametrize("kind", ["photo", "folder", "annotation"])
def test_a_link_leads_nowhere_out_of_a_dataset(tmp_path: Path, workspace: Workspace, kind: str) -> None:
    outside = tmp_path / "outside"
    for label in ("with_mask", "without_mask"):
        write_photo(outside / label / "secret.png")
        write_photo(tmp_path / "data" / "own" / label / "own.png")
    target = tmp_path / "data" / "own" / "with_mask"
    if kind == "photo":
        (target / "link.png").symlink_to(outside / "with_mask" / "secret.png")
    elif kind == "folder":
        (target / "link").symlink_to(outside, target_is_directory=True)
    else:
        (target / "link.xml").symlink_to("/etc/passwd")
    faces = scan(workspace, tmp_path / "data", jobs=1)
    assert sorted(faces.table["photo"]) == ["with_mask/own.png", "without_mask/own.png"]


# --- texts ------------------------------------------------------------------------------------------------------------

HOSTILE = [
    "<img src=x onerror=alert(1)>", "</td><script>alert(1)</script>", "![x](https://evil.example/a.png)",
    "[x](javascript:alert(1))", "`<b>`", "'\"><svg onload=alert(1)>", "a|b", "# head", "$\\href{javascript:1}{x}$",
    "<!--", "&lt;script&gt;", "www.evil.example", "https://evil.example", "{{ 7*7 }}", "{% raw %}", "\u202eexe.gpj",
]  # fmt: skip
#: Elements that run nothing and load nothing.
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "footer", "main", "nav", "section", "h1", "h2", "h3"),
    *("p", "ul", "ol", "li", "a", "dl", "dt", "dd", "div", "span", "table", "thead", "tbody", "tr", "th", "td", "code"),
    *("strong", "em", "small", "details", "summary", "caption", "b", "figure", "figcaption", "aside"),
}


def hostile_document(text: str) -> Document:
    table = Table((text, "n"), ((text, 1),), title=text, note=text)
    section = Section("a", text, (Text(text), Points((text,)), table))
    return Document(text, text, text, (section,), warnings=(text,), points=(text,), footer=text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_report_as_html_shows_texts_as_they_are(text: str) -> None:
    page = Page(to_html(hostile_document(text)))
    assert {tag for tag, _ in page.elements} <= ALLOWED
    for _, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "action", "formaction")]
        assert attributes.get("href", "#").startswith("#")
    [policy] = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_texts_as_they_are(text: str) -> None:
    """Read by a parser that knows HTML, links and pictures, there is none of them."""
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    for shown in (plain(text), code(text), sentence(text), to_markdown(hostile_document(text))):
        tokens = [child for token in reader.parse(shown) for child in (token, *(token.children or ()))]
        assert not {token.type for token in tokens} & {"html_inline", "html_block", "image", "link_open", "fence"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_chart_shows_names_as_they_are(text: str) -> None:
    """Plotly takes some elements, and links, in every text of a chart."""
    assert "<" not in chart_name(text, 100)


@pytest.mark.parametrize("text", ["\\input{/etc/passwd}", "\\write18{x}", "^^5cinput{x}", "$$x$$", "%\n\\end{table}"])
def test_latex_obeys_no_text(text: str) -> None:
    shown = latex(text)
    commands = ("\\textbackslash{}", "\\{", "\\}", "\\$", "\\&", "\\#", "\\_", "\\%", "\\textasciicircum{}")
    for command in commands:
        shown = shown.replace(command, "")
    assert not set(shown) & set("\\{}$&#_%^~\n")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\x08\x08", "\u202egnp", "\x7f"])
def test_no_terminal_obeys_a_name(capsys: pytest.CaptureFixture[str], text: str) -> None:
    say(f"photo {text}.png")
    shown = capsys.readouterr().out
    assert shown.startswith("photo ")
    assert all(character.isprintable() for character in shown.removesuffix("\n"))


# --- sizes ------------------------------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """A PNG file that claims a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def gif_of(frames: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    pictures = [Image.new("P", (40, 40), number % 250) for number in range(frames)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    return file.getvalue()


LIMITED = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
from maskdet.photos import PhotoError, read_photo
for path in sys.argv[1:]:
    try:
        photo = read_photo(Path(path))
        print(Path(path).name, photo.width, photo.height)
    except PhotoError as error:
        print(Path(path).name, error)
# Not ru_maxrss: it begins with that of the process that started this one.
status = Path("/proc/self/status").read_text()
print("peak", int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read of Linux's /proc")
def test_bombs_take_little_memory(tmp_path: Path) -> None:
    """A process of its own with an address space of 3 GB reads what claims up to 16 EB."""
    files = {
        "huge.png": png_of(2**31 - 1, 2**31 - 1), "wide.png": png_of(120_000_001, 1),
        "long.png": png_of(1, 120_000_001),
        "claims.bmp": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 90, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
        "many.gif": gif_of(400), "cut.png": png_of(8000, 8000),
        "wide.webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0\x2f\xff\xff\xff\x0f" + bytes(10),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in files]
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, *paths], cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    said = dict(line.split(" ", 1) for line in ran.stdout.splitlines())
    assert "million" in said["huge.png"]
    assert "million" in said["wide.png"]
    assert "million" in said["long.png"]
    assert "million" in said["claims.bmp"]
    assert said["many.gif"] == "40 40"
    assert "damaged" in said["cut.png"]
    assert "million" in said["wide.webp"]
    assert int(said["peak"]) < 700


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"face_id,decision\n" + b"a,keep\n" * 3_000_000, "larger than 20 MB"),
        (b"face_id,decision," + b",".join(b"%d" % n for n in range(200_000)) + b"\na,keep\n", "more than 100 columns"),
        (b'face_id,decision\n"' + b"x" * 200_000 + b'",keep\n', "cannot be read as CSV"),
    ],
)
def test_a_csv_of_decisions_that_is_too_much(data: bytes, why: str) -> None:
    with pytest.raises(MaskDetError, match=why):
        from_csv(data)


def test_a_name_that_no_file_can_have_is_one_of_no_face() -> None:
    assert from_csv(b"face_id,decision\n\x00,keep\n") == {"\x00": "keep"}  # it opens no file


def test_a_csv_of_many_columns_ends_at_once() -> None:
    """Names of columns were once compared each with each: a file of a few MB took hours."""
    header = b"face_id," + b",".join(b"c%d" % number for number in range(200_000))
    with pytest.raises(MaskDetError, match="200,001 columns; at most 30 attributes"):
        read_attribute_csv(header + b"\na,b\n", ["a"])


LAUGHS = "<!DOCTYPE a [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)
) + "]><annotation><filename>&a11;</filename></annotation>"  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS,
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><annotation><filename>&x;</filename></annotation>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><annotation/>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><annotation/>",
    ],
    ids=["laughs", "file", "dtd", "parameter"],
)
def test_xml_without_entities(with_secret: tuple[Path, Path], text: str) -> None:
    folder, _ = with_secret
    (folder / "annotations").mkdir()
    (folder / "annotations/own.xml").write_text(text)
    rejects = [reject for reject in read_dataset(folder).rejects if reject.photo == "annotations/own.xml"]
    assert len(rejects) == 1
    assert "not readable as XML" in rejects[0].reason
    assert "root:" not in rejects[0].reason


def test_json_as_deep_as_a_file_is_long(with_secret: tuple[Path, Path]) -> None:
    folder, _ = with_secret
    (folder / "own.json").write_text("[" * 1_000_000)
    assert any("not readable as a JSON annotation" in reject.reason for reject in read_dataset(folder).rejects)


@pytest.mark.parametrize(
    "data",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\0\0\0\x18ftypisom",
    ],
)
def test_a_playlist_is_no_video(data: bytes) -> None:
    """A playlist names files and addresses for FFmpeg to open."""
    with pytest.raises(VideoError):
        next(iter(sample_frames(data)))


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_no_run_that_ships_names_a_person_or_a_place() -> None:
    """A person's name stands in the path of a home; names alone may be words, of logins and of machines as well."""
    private = re.compile(r"/home/(?!me\b)|/root/|/Users/|/tmp/|[A-Z]:\\\\")
    for path in [*(DATA_DIR / "study").rglob("*.json"), *ROOT.glob("docs/*.md")]:
        text = path.read_text(encoding="utf-8")
        assert (found := private.search(text)) is None, f"{path}: {found}"
