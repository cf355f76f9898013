"""Model cards: figures with n and interval, what was not measured, and names without any meaning."""

import re
from pathlib import Path

import pytest
import written_findings
from bundled import BUNDLED_IDS
from html_page import Page
from written_runs import predictions, write_run

from maskdet.bias.findings import DataFindings
from maskdet.card import card_from, card_of, to_html, to_markdown
from maskdet.cli import main
from maskdet.runs import BUNDLED, Run, open_run
from maskdet.workspace import Workspace

INCEPTION = BUNDLED_IDS["inceptionv3"]
EVIL = "![x](https://e.vil/x.png)<script>alert(1)</script>|`"
NOTHING = DataFindings("abc", 0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace) -> Run:
    """40 test faces of datasets a and b, four of them judged wrong."""
    return write_run(workspace, "cnn-1", table=predictions(120, wrong=(0, 1, 2, 3)), options={"epochs": 3})


def both(card: object) -> tuple[str, str]:
    return to_markdown(card), Page(to_html(card)).text  # type: ignore[arg-type]


def test_figures_of_a_known_run_stand_with_n_and_interval(workspace: Workspace) -> None:
    found = written_findings.run(open_run(BUNDLED / INCEPTION), whole=False)
    text, page = both(card_from(workspace, NOTHING, found))
    for said in (
        "0.993 (0.989–0.996)", "n = 3,303", "15 of 1,423", "9 of 1,880", "1.1 % (0.6–1.8)",  # recall 0.9895
        "0.828 (0.788–0.866)", "n = 3,932", "fdd49d0a3cebb428", "0.961 (0.942–0.978)",
        "it judged 24 wrong (0.7 %)",
    ):  # fmt: skip
        assert said in text
    for said in ("0.993", "0.989–0.996", "15 of 1,423", "0.828 (0.788–0.866)", "14 min 12 s", "float16"):
        assert said in page
    assert "| 2.1 | 2,313 | 0.997 (0.994–0.9996) |" in text
    assert "| with mask | 1,871 | 9 |" in text  # confusion
    assert "None of 196 faces in 196 groups is misjudged" in text  # why 2.2 has no interval


def test_none_wrong_has_an_exact_interval(workspace: Workspace) -> None:
    """Of 20 faces with a mask none is judged wrong; 1 - 0.025 ** (1 / 20) is 16.8 %. Earlier figures have it too."""
    run = write_run(workspace, "svm-2", "svm", table=predictions(120, wrong=[1]))
    assert run.metrics["confusion"][0] == [20, 0]
    for known in (run.metrics["intervals"], {}):
        run.metrics["intervals"] = known
        text, _ = both(card_of(workspace, run))
        assert "0.0 % (0.0–16.8)" in text
        assert "0 of 20 test faces with mask" in text
        assert "no interval, since none was wrong" not in text


@pytest.mark.parametrize("run_id", [path.parent.name for path in sorted(BUNDLED.glob("*/run.json"))])
def test_every_bundled_run_gives_a_card(run_id: str, workspace: Workspace) -> None:
    run = open_run(BUNDLED / run_id)
    card = card_from(workspace, NOTHING, written_findings.run(run, whole=False))
    text, page = both(card)
    assert card.run == run_id
    assert run.title in page
    assert f"n = {run.metrics['faces']:,}" in text
    assert "nan" not in re.findall(r"\b\w+\b", text)
    assert {section.key for section in card.sections} >= {"model", "use", "data", "metrics", "groups", "limits"}
    assert ("pre-training pool of simulated masks" in text) == (run.pool == "pre-training")


def test_it_says_what_it_is_not_for(workspace: Workspace, run: Run) -> None:
    text, page = both(card_from(workspace, NOTHING, written_findings.run(run, whole=False)))
    for said in (text, page):
        assert "Do not use it to decide about people" in said
        assert "bans of religious headwear" in said
        assert "Surveillance" in said
    assert "Mitchell" in text


def test_what_is_missing_is_said_with_the_command_that_measures_it(workspace: Workspace, run: Run) -> None:
    card = card_from(workspace, NOTHING, written_findings.run(run, whole=False))
    text = to_markdown(card)
    commands = {missing.command for missing in card.not_measured}
    for part in (
        "bias data --part shortcuts", "bias data --part cross-dataset", "bias cnn-1 --part counterfactuals",
        "bias cnn-1 --part attention", "bias cnn-1", "calibrate cnn-1", "train cnn --leave-out ID",
    ):  # fmt: skip
        assert f"python -m maskdet {part}" in commands
        assert f"`python -m maskdet {part}`" in text
    for missing in card.not_measured:
        assert missing.what in text
    assert "| Gaps between groups | not measured |" in text
    assert "| On a source it was not trained on | not measured |" in text


def test_what_was_found_stands_in_it(workspace: Workspace, run: Run) -> None:
    found = written_findings.run(run)
    text, page = both(card_from(workspace, written_findings.data(), found))
    for said in (
        written_findings.STRONG, "0.550–0.670, n = 300", "25.0 % (19.0–31.0)", "Apparent skin tone",
        "In no group, since apparent skin tone is not known: 1 of 20 with mask (5.0 %).", "Darker",
    ):  # fmt: skip
        assert said in page
    assert "| a | 0.950 (0.900–0.990, n = 40) | 0.610 (0.550–0.670, n = 300) | — |" in text  # trained on a
    assert re.search(r"\| Dataset \| 40 \| .* points .* \| no gap found \|", text)
    assert "| Darker | a fault | with mask | 20 |" in text
    assert "| with mask | all | 20 | 7" in text  # of the heat
    assert "right and wrong ones don't add up to all" in page
    assert "The two were picked from all pairs for it" in page  # beside the largest differences
    assert "What is tested is whether a metric differs between the groups of an attribute at all." in page
    assert "Too few to say: 8 faces." in page  # why a cell of the matrix is empty


def test_the_surest_shortcut_and_gaps_stand_first(workspace: Workspace, run: Run) -> None:
    weaker = written_findings.probe("b", 0.76, "Brightness predicts it.")
    report = written_findings.shortcuts(weaker, written_findings.probe())
    found = written_findings.run(run, whole=False)
    points = card_from(workspace, DataFindings("abc", 9, report), found).points
    assert written_findings.STRONG in points
    assert "Brightness predicts it." not in points
    pooled = written_findings.shortcuts()  # its run was trained on both datasets together
    assert "Pooled." in card_from(workspace, DataFindings("abc", 9, pooled), found).points
    elsewhere = written_findings.shortcuts(written_findings.probe("c"))
    assert written_findings.STRONG not in card_from(workspace, DataFindings("abc", 9, elsewhere), found).points


def test_what_turns_verdicts_and_should_not_is_told_on_the_first_screen(workspace: Workspace) -> None:
    run = write_run(workspace, "cnn-5", table=predictions(240))
    points = card_from(workspace, NOTHING, written_findings.run(run)).points
    told = [point for point in points if "“Darker” flips 50.0 % (" in point]
    assert len(told) == 1
    assert told[0].endswith("n = 40) of the faces with mask that were tried.")
    few = write_run(workspace, "cnn-6", table=predictions(120))  # 20 faces: too few for an interval
    assert not [point for point in card_from(workspace, NOTHING, written_findings.run(few)).points if "flips" in point]


def test_a_gap_is_told_on_the_first_screen(workspace: Workspace) -> None:
    table = predictions(600, wrong=[n for n in range(200) if n // 2 % 2 == 0 and n % 3])
    run = write_run(workspace, "cnn-2", table=table)
    found = written_findings.run(run)
    gaps = [sentence for report in found.groups.values() for sentence in report.gaps["sentence"]
            if "that chance hardly explains" in sentence]  # fmt: skip
    assert gaps
    card = card_from(workspace, NOTHING, found)
    assert any(point.startswith("By ") and point.endswith(gaps[0]) for point in card.points)
    assert next(figure.value for figure in card.figures if figure.title == "Gaps between groups") == str(len(gaps))


def test_names_mean_nothing(workspace: Workspace) -> None:
    table = predictions(120, wrong=(0, 1), datasets=("a", EVIL))
    run = write_run(workspace, "cnn-3", table=table, options={EVIL: EVIL}, data={"left_out": [EVIL]})
    text, page = both(card_from(workspace, written_findings.data(), written_findings.run(run)))
    assert EVIL in page
    assert not re.search(r"(?<!\\)<script|(?<!\\)!\[|https:", text)
    elements = {tag for tag, _ in Page(to_html(card_from(workspace, NOTHING, written_findings.run(run)))).elements}
    assert elements.isdisjoint({"script", "img", "link"})


def test_a_run_of_the_synthetic_sample_says_so_first(workspace: Workspace) -> None:
    run = write_run(workspace, "cnn-4", table=predictions(datasets=("sample-web", "sample-group")), limit=20)
    text, page = both(card_from(workspace, NOTHING, written_findings.run(run, whole=False)))
    said = "its figures say nothing about real masks."
    assert text.index(said) < text.index("A model that looks at")
    assert page.index(said) < page.index("A model that looks at")
    assert "limited to 20 training faces" in page


def test_the_card_gathers_what_is_known(workspace: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskdet.bias.groups.GroupOptions", lambda: written_findings.QUICK)
    card = card_of(workspace, run)
    assert "By dataset" in to_markdown(card)  # metrics by group are computed on the spot
    assert "metrics by apparent skin tone" in [missing.what for missing in card.not_measured]


def test_from_the_shell(workspace: Workspace, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("maskdet.bias.groups.GroupOptions", lambda: written_findings.QUICK)

    def shell(*arguments: object) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["card", "cnn-1", *map(str, arguments), "--home", str(workspace.home)])
        return int(str(ended.value.code))

    assert shell() == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# Model card: CNN")
    assert shell("--out", tmp_path / "a" / "card.html") == 0
    assert (tmp_path / "a" / "card.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert shell("--out", tmp_path / "both") == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["cnn-1.html", "cnn-1.md"]
    assert (tmp_path / "both" / "cnn-1.md").read_text(encoding="utf-8") == printed
    assert shell("--out", tmp_path / "card.pdf") == 1
    assert "must end in .md or .html" in capsys.readouterr().err
