"""What a shortcut probe found, in a sentence or two."""

from collections.abc import Mapping
from typing import Any, Final

from maskdet.bias.measurements import FAMILIES
from maskdet.bias.probing import Auc
from maskdet.wording import capital

#: Families that no mask can change, of photos as they are.
BLIND: Final = ("size", "shape")
_BY_MASKS: Final = "a model can score by it, though a part of it may be the masks themselves, which change it too"


def verdict_sentence(
    target: str, scope: str, stage: str, faces: int, verdict: str, auc: Auc, families: Mapping[str, Mapping[str, Any]]
) -> str:
    """The verdict of a probe, with the strongest family of measurements where one stands out alone."""
    told = _told(target, scope)
    where = "" if stage == "photo" else "At 150x150 pixels, "
    figure = _figure(auc.value, auc.low, auc.high, faces)
    if verdict == "none":
        return capital(f"{where}no shortcut was found: all measurements together tell {told} with AUC {figure}.")
    if verdict == "too few to say":
        return capital(f"{where}too few faces to say whether measurements tell {told}: AUC {figure}.")
    found = {family: values for family, values in families.items() if values["found"]}
    if not found:
        return capital(f"{where}no kind of measurement alone, but all together tell {told} with AUC {figure}.")
    best = max(found, key=lambda family: float(found[family]["auc"]))
    values = families[best]
    alone = _figure(values["auc"], values["low"], values["high"], faces)
    name = FAMILIES[best] if stage == "photo" else f"what is left of {FAMILIES[best]}"
    verb = "predicts" if target == "label" else "tells"
    said = capital(f"{where}{name} alone {verb} {told} with AUC {alone}: {_meaning(target, best, stage)}.")
    blind = [float(families[name]["auc"]) for name in BLIND if name in families]
    if target == "label" and stage == "photo" and best not in BLIND and blind:
        said += f" Size and aspect ratio, which no mask changes, reach {max(blind):.2f} at most."
    return f"{said} All measurements together reach {auc.value:.2f}." if auc.value > values["auc"] + 0.005 else said


def too_few_sentence(target: str, scope: str, stage: str, reason: str) -> str:
    """Why nothing was probed."""
    where = "" if stage == "photo" else ", at 150x150 pixels"
    why = reason[:1].lower() + reason[1:]
    return f"Too few faces to say whether measurements tell {_told(target, scope)}{where}: {why}"


def _told(target: str, scope: str) -> str:
    if target == "dataset":
        return "which dataset a face is of"
    return "the label of all datasets together" if scope == "pooled" else f"the label of dataset {scope}"


def _meaning(target: str, family: str, stage: str) -> str:
    if target == "dataset":
        return "what a model learns of one source need not hold for another"
    return "a model can score without seeing masks" if family in BLIND and stage == "photo" else _BY_MASKS


def _figure(value: float, low: float | None, high: float | None, faces: int) -> str:
    interval = "" if low is None or high is None else f"{low:.2f} to {high:.2f}, "
    return f"{value:.2f} ({interval}n = {faces:,})"
