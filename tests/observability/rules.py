"""The chart's rules and dashboards as the tests read them."""

import json
from pathlib import Path
from typing import Any

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = sorted((ROOT / "helm/ance/rules").glob("*.yaml"))
DASHBOARDS = sorted((ROOT / "helm/ance/dashboards").glob("*.json"))

COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
SETS = {"and", "or", "unless"}


def all_rules() -> list[dict[str, Any]]:
    """Every rule of the chart."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """Alerting rules by name."""
    return {rule["alert"]: rule for rule in all_rules() if "alert" in rule}


def recorded() -> dict[str, str]:
    """Names of recorded series -> expression."""
    return {rule["record"]: rule["expr"] for rule in all_rules() if "record" in rule}


def dashboards() -> dict[str, dict[str, Any]]:
    """Dashboards by file name."""
    return {path.stem: json.loads(path.read_text()) for path in DASHBOARDS}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """Its panels without the headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard: dict[str, Any]) -> list[tuple[str, str]]:
    """Title of a panel and one of its queries, for all of them."""
    return [(panel["title"], target["expr"]) for panel in panels(dashboard) for target in panel["targets"]]


def with_values(expr: str, **variables: str) -> str:
    """A query as Grafana sends it: variables replaced by values."""
    for name, value in variables.items():
        expr = expr.replace(f"${name}", value)
    return expr


def operands(expr: promql_parser.Expr) -> list[str]:
    """What an alert compares: its expression without its comparisons."""
    if isinstance(expr, promql_parser.ParenExpr):
        return operands(expr.expr)
    if isinstance(expr, promql_parser.BinaryExpr):
        if str(expr.op) in SETS:
            return operands(expr.lhs) + operands(expr.rhs)
        if str(expr.op) in COMPARISONS:
            sides = (expr.lhs, expr.rhs)
            return [str(side) for side in sides if not isinstance(side, promql_parser.NumberLiteral)]
    return [str(expr)]


def selectors(expr: str) -> list[promql_parser.VectorSelector]:
    """Every selector of series in a query."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: Any) -> None:
        match node:
            case promql_parser.VectorSelector():
                found.append(node)
            case promql_parser.MatrixSelector():
                found.append(node.vector_selector)
            case promql_parser.BinaryExpr():
                visit(node.lhs)
                visit(node.rhs)
            case promql_parser.AggregateExpr():
                visit(node.expr)
            case promql_parser.Call():
                for argument in node.args:
                    visit(argument)
            case promql_parser.ParenExpr() | promql_parser.UnaryExpr() | promql_parser.SubqueryExpr():
                visit(node.expr)

    visit(promql_parser.parse(expr))
    return found
