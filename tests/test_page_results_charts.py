"""The charts and tables of the Results page, without the page: what they draw of a run, and durations in words."""

from pathlib import Path

import pandas as pd
import pytest
from written_runs import CURVES, GRID, predictions, write_run

from maskdet.compare import JudgedRun, other_sources, ranking
from ui.charts import confusion_heatmap, grid_scores, learning_curves
from ui.results_charts import ranking_chart, running_time, sources_chart, styles, times_chart
from ui.results_learning import common_span, history_of
from ui.results_views import datasets_table, sources_table


def test_the_confusion_scale_is_common() -> None:
    by_share = confusion_heatmap([[9, 1], [0, 10]]).data[0]
    assert by_share.z.tolist() == [[0.9, 0.1], [0, 1]]
    assert (by_share.zmin, by_share.zmax) == (0, 1)
    assert by_share.text[0][0] == "<b>9</b><br>90.0 %"
    by_count = confusion_heatmap([[9, 1], [0, 10]], colour_by="count", most=500).data[0]
    assert by_count.z.tolist() == [[9, 1], [0, 10]]
    assert (by_count.zmin, by_count.zmax) == (0, 500)
    assert confusion_heatmap([[0, 0], [0, 0]], colour_by="count").data[0].zmax == 1


def test_curves_mark_the_kept_epoch_and_the_second_phase() -> None:
    figure = learning_curves(pd.DataFrame(CURVES).assign(watched_loss=[0.9, 0.8, 0.7]), "loss", (0, 1))
    assert [trace.name for trace in figure.data] == ["training", "validation", "epoch kept", "watched"]
    assert (list(figure.data[2].x), list(figure.data[2].y)) == ([2], [0.3])
    assert figure.layout.shapes[0].x0 == 1.5
    assert figure.layout.yaxis.range == (0, 1)
    older = pd.DataFrame(CURVES)[["epoch", "loss", "val_loss"]]
    assert [trace.name for trace in learning_curves(older, "loss").data] == ["training", "validation"]


def test_epochs_counted_anew_in_each_phase_lie_side_by_side() -> None:
    history = pd.DataFrame(CURVES).assign(epoch=[1, 1, 2])
    assert list(learning_curves(history, "loss").data[0].x) == [1, 2, 3]


def test_grids_have_a_line_a_kernel_and_gamma() -> None:
    figure = grid_scores(pd.DataFrame(GRID))
    assert [line.name for line in figure.data] == ["linear", "rbf, gamma 0.01"]
    assert list(figure.data[1].x) == [1, 10]
    older = pd.DataFrame(GRID[:2]).drop(columns="kernel")
    assert [line.name for line in grid_scores(older).data] == ["rbf, gamma 0.01"]


def test_the_ranking_chart_has_the_studys_figure_beside_each_model(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1", table=predictions(wrong=[0]))
    table = ranking([JudgedRun(run, "<b>", run.metrics, None, "abc")])
    figure = ranking_chart(table, styles(["<b>"]))
    assert list(figure.data[0].x) == [0.981]
    assert list(figure.data[1].y) == ["&lt;b&gt;"]
    bar = figure.data[1].error_x
    assert figure.data[1].x[0] + bar.array[0] == pytest.approx(run.metrics["intervals"]["macro_f1"][1])
    assert figure.data[1].x[0] - bar.arrayminus[0] == pytest.approx(run.metrics["intervals"]["macro_f1"][0])


def test_times_without_a_value_are_left_out_of_the_chart() -> None:
    times = pd.DataFrame(
        {"run": ["a", "b"], "fit": [10.0, None], "macro_f1": [0.9, 0.8], "low": [0.8, 0.7], "high": [0.95, 0.9]}
    )
    figure = times_chart(times, "fit", "time", styles(["a", "b"]))
    assert [list(trace.x) for trace in figure.data] == [[10.0], [10.0]]  # the point and its name
    assert times_chart(times[1:], "fit", "time", styles(["b"])).data == ()


def test_sources_stand_in_a_row_a_dataset_and_run(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1", data={"left_out": ["b"]})
    judged = [JudgedRun(run, "CNN", run.metrics, None, "abc")]
    sources = other_sources(judged)
    table = sources_table(sources)
    assert table["Dataset"].tolist() == ["pooled", "a", "b"]
    assert table["Macro F1, in training"].tolist()[2] == ""
    assert table["Macro F1, left out"].tolist()[2] == "1.000, n = 10"
    assert datasets_table(judged)["n"].tolist() == ["10", "10"]
    figure = sources_chart(sources, styles(["CNN"]))
    assert list(figure.layout.yaxis.ticktext) == ["pooled", "a", "b"]


def test_histories_that_cannot_be_shown_are_sentences(tmp_path: Path) -> None:
    run = write_run(tmp_path, "cnn-1", history=[])
    assert history_of(JudgedRun(run, "A", {}, None, "")) == "Nothing was measured while fitting this run."
    assert common_span([], "loss") is None
    assert common_span([pd.DataFrame({"loss": [0.0, 1.0]})], "loss") == pytest.approx((-0.06, 1.06))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (59.6, "1 min 0 s"), (100, "1 min 40 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert running_time(seconds) == text
