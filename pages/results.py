"""Results: how often each model is right, how it learned, and the faces it gets wrong."""

import pandas as pd
import streamlit as st

from maskdet.facetable import has_faces
from maskdet.runs import Run, runs_table
from maskdet.workspace import Workspace
from ui.cached import csv_bytes, faces_of, is_synthetic, run_title, runs_of
from ui.charts import LABEL_TITLES, confusion_heatmap, grid_scores, learning_curves
from ui.gallery import pager, show_faces
from ui.session import show, workspace_in_sight
from ui.text import plain

STUDY_MACRO_F1 = "The study reports 0.981 for its CNN and 0.927 for its SVM, on other photos."


def show_metrics(run: Run) -> None:
    metrics = run.metrics
    low, high = metrics["intervals"]["macro_f1"]
    scores, confusion = st.columns(2)
    scores.metric("Macro F1", f"{metrics['macro_f1']:.4f}", border=True, help=STUDY_MACRO_F1)
    scores.caption(
        f"95 % interval {low:.4f} to {high:.4f}, by bootstrap over {metrics['groups']:,} groups of related faces; "
        f"n = {metrics['faces']:,} test faces that the model never saw."
    )
    if "incorrect_mask" in metrics:
        apart = metrics["incorrect_mask"]
        scores.caption(
            f"Masks worn incorrectly are a class of their own here, in none of these figures: "
            f"{apart['judged_without_mask']} of {apart['faces']} such test faces are judged without mask."
        )
    confusion.plotly_chart(confusion_heatmap(metrics["confusion"]), key="confusion")
    rows = [
        {
            "label": LABEL_TITLES[label],
            **values,
            "F1 interval": "{:.4f} to {:.4f}".format(*metrics["intervals"][f"f1 {label}"]),
        }
        for label, values in metrics["labels"].items()
    ]  # fmt: skip
    four_digits = {name: st.column_config.NumberColumn(format="%.4f") for name in ("precision", "recall", "f1")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=four_digits)
    by_dataset = pd.DataFrame([{"dataset": name, **values} for name, values in metrics["datasets"].items()])
    digits = {name: st.column_config.NumberColumn(format="%.4f") for name in ("accuracy", "macro_f1")}
    st.dataframe(by_dataset, hide_index=True, column_config=digits)


def show_learning(run: Run) -> None:
    if "epoch" in run.history:
        loss, accuracy = st.columns(2)
        loss.plotly_chart(learning_curves(run.history, "loss"), key="loss")
        accuracy.plotly_chart(learning_curves(run.history, "accuracy"), key="accuracy")
    else:
        st.plotly_chart(grid_scores(run.history), key="grid")
        explained = run.history["explained_variance"].iloc[0]
        st.caption(f"The principal components keep {explained:.1%} of the variance (the study: about 87 %).")


def show_errors(run: Run, workspace: Workspace) -> None:
    predictions = run.predictions
    test = predictions[predictions["split"] == "test"]
    wrong = test[(test["logit"] > 0) != (test["label"] == "without_mask")]
    wrong = wrong.reindex(wrong["logit"].abs().sort_values(ascending=False).index)
    st.caption(f"{len(wrong):,} of {len(test):,} test faces, the most confident errors first.")
    if wrong.empty:
        return
    table = wrong[["face_id", "dataset", "label", "p_without_mask"]]
    st.dataframe(table.assign(label=table["label"].map(LABEL_TITLES)), hide_index=True, height=240)
    st.download_button(
        "Errors as CSV", csv_bytes(table), f"errors-{run.id}.csv", "text/csv", icon=":material/download:"
    )
    known = faces_of(workspace).table["face_id"] if has_faces(workspace) else pd.Series(dtype="str")
    here = wrong[wrong["face_id"].isin(known)]
    if here.empty:
        st.info("The photos of these faces are not on this computer; scan their datasets to see them here.")
        return
    shown = here.iloc[pager(f"errors_{run.id}", len(here), 12)]
    captions = [
        f"is {LABEL_TITLES[r.label].lower()}, p without mask {r.p_without_mask:.2f}" for r in shown.itertuples()
    ]
    show_faces(workspace, faces_of(workspace), shown["face_id"].tolist(), captions)


def show_record(run: Run) -> None:
    data, seconds = run.record["data"], run.record["seconds"]
    faces = ", ".join(f"{count:,} {name}" for name, count in data["faces"].items())
    st.markdown(
        f"Trained on {plain(', '.join(data['datasets']))} ({faces} faces; split `{run.fingerprint}`), "
        f"seed {run.record['seed']}. "
        f"Fit {seconds['fit']:.0f} s; predicting the test faces {seconds['predict_test']:.1f} s; "
        f"{run.record['environment']['cores']} cores."
    )
    if is_synthetic(run):
        st.info("Trained and judged on the **synthetic sample set**: its figures say nothing about real masks.")
    if run.record["limit"]:
        st.warning(f"A quick try: limited to {run.record['limit']:,} training faces.")
    with st.expander("Options and environment"):
        st.json({"options": run.record["options"], "data": data, "environment": run.record["environment"]})


def main() -> None:
    st.title("Results")
    workspace = workspace_in_sight()
    runs = runs_of(workspace)
    if not runs:
        st.info("No model is trained yet.")
        st.page_link("pages/training.py", label="Train a model", icon=":material/model_training:")
        st.stop()
    st.dataframe(
        runs_table(runs), hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in ("macro_f1", "low", "high")}
        | {
            "low": st.column_config.NumberColumn("95 % from", format="%.4f"),
            "high": st.column_config.NumberColumn("to", format="%.4f"),
            "train_faces": "training faces", "test_faces": "test faces",
            "fit_seconds": st.column_config.NumberColumn("fit (s)", format="%.0f"),
            "created": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        },
    )  # fmt: skip
    names = {run.id: run_title(run) for run in runs}
    chosen = st.selectbox("Run", list(names), format_func=names.__getitem__)
    run = next(run for run in runs if run.id == chosen)
    show_record(run)
    show_metrics(run)
    st.subheader("How it learned")
    show_learning(run)
    st.subheader("Where it errs")
    show_errors(run, workspace)


show(main)
