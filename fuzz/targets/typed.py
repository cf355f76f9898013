"""Targets: what a person types into a field, an address or the shell, and options that are kept."""

import contextlib
import io
import json
import math
import os
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from unittest import mock

from written_runs import write_run

import ui.results
from fuzz.mutate import ODD_TEXTS, json_text, text
from fuzz.target import Prepared, Target, check, check_sentence, check_text, refusals
from maskdet.bias.store import own_path
from maskdet.cli import main
from maskdet.cli.models import _settings
from maskdet.download import dataset_id, page_of, parse_handle
from maskdet.explore import parse_treatment
from maskdet.models import MODELS, ModelOptions, create_model
from maskdet.models.distribution import CLUSTER_VARIABLE, place
from maskdet.quality import FilterOptions, options_from
from maskdet.sample_photos import sample_photo
from maskdet.split import SplitOptions
from maskdet.training_data import Plan
from maskdet.workspace import Workspace
from ui.training_command import weights_file
from ui.training_options import parse_list, text_of

_WORDS: Final = tuple(odd.encode(errors="surrogatepass") for odd in ODD_TEXTS if 0 < len(odd) < 60)


#: Options by a name: what they are made of is stored as JSON, or comes from the shell.
_OPTIONS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    kind.__name__: (lambda values, kind=kind: options_from(kind, values)) for kind in (FilterOptions, SplitOptions)
} | {name: (lambda values, name=name: create_model(name, values).options) for name in MODELS}


def _options(folder: Path) -> Prepared:
    """Options, the first byte says which, as JSON: refused in a sentence, or of the types that they are said to be."""
    kinds = list(_OPTIONS.values())

    def run(data: bytes) -> None:
        try:
            values = json.loads(data[1:])
        except (ValueError, RecursionError):
            return
        if not isinstance(values, dict):
            return
        with refusals():
            made = kinds[data[0] % len(kinds)]({str(name): value for name, value in values.items()})
            hints = get_type_hints(type(made)) if isinstance(made, ModelOptions) else {}
            for name, hint in hints.items():
                if name in values:
                    value = getattr(made, name)
                    check(_is_of(value, hint), f"{type(made).__name__}: {name} is {value!r:.80}")

    seeds = []
    for number, make in enumerate(kinds):
        values = {name: value for name, value in vars(make({})).items() if name != "augmentation"}
        seeds.append(bytes([number]) + json.dumps(values, default=lambda value: vars(value)).encode())
    plan = {"augmentation": {"plan": "study", "methods": ["flip"], "rotation": 5}, "epochs": 3}
    return Prepared(run, [*seeds, bytes([list(_OPTIONS).index("cnn")]) + json.dumps(plan).encode()])


def _is_of(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in parts
    if origin in (Union, types.UnionType):
        return any(_is_of(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple | list) and all(
            any(_is_of(one, part) for part in parts if part is not ...) for one in value
        )
    if origin is not None:
        return isinstance(value, origin)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return (
        hint in (Any, object)
        or value is hint
        or (isinstance(hint, type) and isinstance(value, hint))
        or (hint is type(None) and value is None)
    )


def _typed(folder: Path) -> Prepared:
    """What is typed into fields, a line each."""

    def run(data: bytes) -> None:
        typed = data.decode("utf-8", errors="replace").replace("\0", "")
        for function in (_handle, parse_treatment, sample_photo, weights_file, _listed, _set, _named):
            with refusals():
                function(typed)

    seeds = [
        b"andrewmvd/face-mask-detection",
        b"https://www.kaggle.com/datasets/a/b?x=1",
        b"0.1, 1, 10, scale",
        b"drop",
        b"group",
        b"C=[1, 10]",
        b"epochs=3",
        b"weights.h5",
        b"C=NaN",
        b'kernel="rbf"',
        b"5df5f84aed974887",
    ]
    return Prepared(run, seeds)


def _handle(typed: str) -> None:
    handle = parse_handle(typed)
    check(re.fullmatch(r"[\w-]+/[\w-]+", handle), f"the handle {handle!r}")
    check(page_of(handle).startswith("https://www.kaggle.com/datasets/"), "a page elsewhere")
    check("/" not in dataset_id(handle, {}, {}), "a path for an id")


def _listed(typed: str) -> None:
    values = parse_list(typed)
    check_text(text_of(values))
    create_model("svm", {"C": values})
    create_model("svm", {"gamma": values})


def _set(typed: str) -> None:
    settings = _settings([typed])
    check(len(settings) == 1, f"{len(settings)} settings")
    for name in MODELS:
        with refusals():
            create_model(name, settings)


def _named(typed: str) -> None:
    """Names that become a path in the workspace."""
    home = Workspace(Path("/home/of/maskdet"))
    path = own_path(home, typed, "a.json", typed)
    check(Path(os.path.normpath(path)).is_relative_to(home.home), f"{path} lies outside")


def _address(folder: Path) -> Prepared:
    """The runs that the address of the Results page names, and what the session kept: the widget is a stand-in."""
    runs = [write_run(folder / "runs", name, table=None) for name in ("cnn-1", "svm-2", "cnn-3")]

    def chosen(label: str, options: list[str], *, default: list[str], key: str, **rest: Any) -> list[str]:
        for name in options:
            check_text(rest["format_func"](name))
        return list(session.get(key, default))

    session: dict[str, Any] = {}

    def run(data: bytes) -> None:
        asked, _, kept = data.decode("utf-8", errors="replace").partition("\x1e")
        session.clear()
        if kept:
            session["results_runs"] = kept.split("\x1f")
        page = mock.Mock(session_state=session, multiselect=chosen)
        page.query_params.get_all.return_value = asked.split("\x1f")
        with mock.patch.object(ui.results, "st", page):
            found = ui.results.choose_runs(runs)
        check({one.id for one in found} <= {one.id for one in runs}, "a run that is not there")
        check(len({one.id for one in found}) == len(found) <= 8, f"{len(found)} runs")

    return Prepared(run, [b"cnn-1", b"svm-2\x1fcnn-1\x1ecnn-3\x1fcnn-1", b"", b"../x\x1e<script>"])


def _cluster(folder: Path) -> Prepared:
    def run(data: bytes) -> None:
        value = data.decode("utf-8", errors="replace").replace("\0", "")
        with mock.patch.dict(os.environ, {CLUSTER_VARIABLE: value}), refusals():
            found = place()
            check(0 <= found.index <= max(found.workers, 1), f"place {found.index} of {found.workers}")
            check(isinstance(found.is_chief, bool), "neither chief nor not")

    described = {"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}
    chief = {"cluster": {"chief": ["a:1"], "worker": ["b:2"]}, "task": {"type": "chief", "index": 0}}
    return Prepared(run, [json.dumps(described).encode(), json.dumps(chief).encode(), b"{}", b""])


#: Commands that read nothing but the workspace, with a place for a value; none of them writes outside of it.
_COMMANDS: Final = tuple(
    command.split(" ")
    for command in (
        "datasets --incorrect-mask={}",
        "filter --hash-kind={}",
        "filter --hash-distance={}",
        "filter --min-side={}",
        "filter --min-aspect-ratio={}",
        "filter --max-channel-mean={}",
        "split --train={}",
        "split --seed={}",
        "split --group-distance={}",
        "leaks --distance={}",
        "augment-sizes --augmentation={}",
        "augment-sizes --method={}",
        "train svm --set={}",
        "train svm --set=C={}",
        "train {}",
        "train svm --pool={}",
        "train svm --limit={}",
        "train svm --balance={}",
        "train svm --balance-target={}",
        "train svm --data={}",
        "train svm --leave-out={}",
        "evaluate {}",
        "compare --format={}",
        "compare {}",
        "errors {}",
        "forget {}",
        "resume {}",
        "runs --discard={}",
        "suspects {}",
        "card {}",
        "gradcam {}",
        "bias {}",
        "{}",
        "--{}",
        "video missing.mp4 --every={}",
        "predict missing.jpg --model={}",
        "predict missing.jpg --faces={}",
        "predict missing.jpg --min-size={}",
        "explain missing.jpg --out=x.png --label={}",
    )
)


def _shell(folder: Path) -> Prepared:
    """A value on a command line; the first byte says in which place."""
    home = folder / "home"
    write_run(Workspace(home), "svm-1", "svm")

    def run(data: bytes) -> None:
        value = data[1:].decode("utf-8", errors="replace").replace("\0", "")
        command = _COMMANDS[(data[0] if data else 0) % len(_COMMANDS)]
        arguments = [part.format(value) if part.endswith("{}") else part for part in command]
        out, err = io.StringIO(), io.StringIO()
        environment = {"MASKDET_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"}
        try:
            with (
                contextlib.chdir(folder),
                mock.patch.dict(os.environ, environment),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                mock.patch("maskdet.runs.BUNDLED", folder / "no"),
            ):
                main(arguments)
        except SystemExit as ended:
            if ended.code:
                lines = [line for line in err.getvalue().splitlines() if line.startswith("Error: ")]
                said = lines[-1].removeprefix("Error: ") if lines else ""
                check(said or out.getvalue(), f"nothing is said to {arguments}")
                if said:
                    check_sentence(said)

    return Prepared(run, [bytes([number]) + b"1" for number in range(len(_COMMANDS))])


def _plan(folder: Path) -> Prepared:
    """What a training's folder says is trained."""

    def run(data: bytes) -> None:
        try:
            stored = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(stored, dict):
            return
        with refusals():
            made = Plan.of(stored)
            check(all(isinstance(name, str) for name in (*made.left_out, *made.watched)), "a dataset that is no text")

    seed = {
        "model": "svm",
        "options": {},
        "seed": 0,
        "limit": None,
        "fingerprint": None,
        "pool": "main",
        "left_out": [],
        "watched": ["auto"],
        "base": None,
        "balance": "size",
        "balance_target": "equal",
    }
    return Prepared(run, [json.dumps(seed).encode()])


TARGETS = (
    Target(
        "options",
        _options,
        ("maskdet.quality.options_from", "maskdet.models.create_model"),
        lambda data, rng: data[:1] + json_text(data[1:], rng),
    ),
    Target(
        "typed",
        _typed,
        (
            "maskdet.download.parse_handle",
            "maskdet.explore.parse_treatment",
            "ui.training_options.parse_list",
            "maskdet.cli.models._settings",
            "ui.training_command.weights_file",
            "maskdet.bias.store.own_path",
            "maskdet.sample_photos.sample_photo",
        ),
        text,
        _WORDS,
        1 << 10,
    ),
    Target("address", _address, ("ui.results.choose_runs",), text, (b"cnn-1", b"\x1f", b"\x1e"), 1 << 10),
    Target("cluster", _cluster, ("maskdet.models.distribution.place",), json_text),
    Target("shell", _shell, ("maskdet.cli.main",), lambda data, rng: data[:1] + text(data[1:], rng), _WORDS, 300),
    Target("plan", _plan, ("maskdet.training_data.Plan.of",), json_text),
)
