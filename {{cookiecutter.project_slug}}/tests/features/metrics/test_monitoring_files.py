"""`deploy/monitoring/`: the dashboard and the alert rules ask for what the service really says."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.assembly import FEATURES
from tests.features.metrics.conftest import Measured, samples

MONITORING = Path(__file__).resolve().parents[3] / "deploy" / "monitoring"
_TEXT = re.compile(r'"[^"]*"')
_GROUPING = re.compile(r"\b(?:by|ignoring)\s*\([^)]*\)")
_WORDS = frozenset("by ignoring or and unless bool d m h s e".split())  # noqa: SIM905
_MATCHER = re.compile(r'(\w+)(=~|=|!~|!=)"([^"]*)"')


def expressions() -> list[str]:
    """Every expression of both files."""
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def names(expression: str) -> set[str]:
    """The metrics of an expression: words that are no function, label, duration or keyword."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", _GROUPING.sub("", _TEXT.sub("", expression)))
    return {name for name in re.findall(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()", bare) if name not in _WORDS}


def test_every_metric_and_label_is_exported(measured: Measured) -> None:
    """By the running service, and every event that is named can happen."""
    measured.client.get("/livez")
    exported: dict[str, set[str]] = {}
    for name, labels in samples(measured.text()):
        exported.setdefault(name, set()).update(label for label, _ in labels)
    events = {str(event) for feature in FEATURES for kind in feature.events for event in kind}
    found = expressions()
    assert len(found) > 30
    for expression in found:
        assert names(expression), expression
        assert names(expression) <= set(exported), expression
        known = {label for name in names(expression) for label in exported[name]} | {"instance"}
        for label, _, value in _MATCHER.findall(expression):
            assert label in known, expression
            if label == "event":
                assert any(re.fullmatch(value, event) for event in events), expression
        grouped = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
        assert grouped <= known, expression


def test_the_rules_are_those_of_prometheus() -> None:
    """Each has a name, an expression, a severity and a sentence; `promtool`, where there is one, agrees."""
    path = MONITORING / "alerts.yaml"
    rules: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
    ]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"].endswith(".")
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ServiceNotReady", "TokenReused", "LimitsHit", "MailWaits", "AuditTrailGrows"])
def test_what_must_not_be_missed_has_a_rule(name: str) -> None:
    """A rule that is taken out is missed here."""
    assert f"alert: {name}\n" in (MONITORING / "alerts.yaml").read_text(encoding="utf-8")
