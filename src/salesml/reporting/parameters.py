"""Parameters of a notebook: what its `parameters` cell declares, and the refusal of anything else."""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from papermill.parameterize import translate_parameters

from salesml.errors import BadParameter
from salesml.workspace import Workspace

TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
MAX_TEXT = 1000
MAX_ITEMS = 1000
RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
CHOICES = re.compile(r"one of ([^;]+)")


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: name, base type, default, and its comment as meaning.

    In the comment `low..high` is the range of a number (both included), `one of a, b` the choices of a text.
    """

    name: str
    base: str
    default: Any
    meaning: str = ""
    many: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        kind = f"list of {self.base}" if self.many else self.base
        among = f", one of {', '.join(self.choices)}" if self.choices else ""
        between = f", {self.low:g}..{self.high:g}" if self.high < math.inf else ""
        return f"{self.name} ({kind}{among}{between})"

    def checked(self, value: Any) -> Any:
        """The value (an int made a float where one is declared); BadParameter if of another type or out of range."""
        if value is None and self.optional:
            return None
        if not self.many:
            return self._checked_one(value)
        if type(value) not in (list, tuple):
            raise BadParameter(f"parameter {self} is a list, not {_shown(value)}")
        if len(value) > MAX_ITEMS:
            raise BadParameter(f"parameter {self} has {len(value)} items; at most {MAX_ITEMS} are taken")
        return [self._checked_one(item) for item in value]

    def _checked_one(self, value: Any) -> Any:
        if self.base == "float" and type(value) is int and abs(value) < 2**53:
            value = float(value)
        exact = type(value) is TYPES[self.base]  # a subclass could print as code
        if not exact:
            raise BadParameter(f"parameter {self} cannot be {_shown(value)}")
        if self.base == "str":
            _check_text(self, value)
        if self.base in ("int", "float"):
            if not math.isfinite(value) or abs(value) >= 2**63:
                raise BadParameter(f"parameter {self} cannot be {_shown(value)}")
            if not self.low <= value <= self.high:
                raise BadParameter(f"parameter {self} cannot be {value}: it lies outside {self.low:g}..{self.high:g}")
        if self.choices and value not in self.choices:
            raise BadParameter(f"parameter {self} cannot be {_shown(value)}")
        return value

    def from_text(self, text: str) -> Any:
        """The value a command line means: text as it is, a number, true or false, a,b,c for a list, none."""
        if self.optional and text.lower() == "none":
            return None
        if self.many:
            return [self._one_from_text(item.strip()) for item in text.split(",")] if text.strip() else []
        return self._one_from_text(text)

    def _one_from_text(self, text: str) -> Any:
        if self.base == "bool":
            if text.lower() not in ("true", "false"):
                raise BadParameter(f"parameter {self} is true or false, not {_shown(text)}")
            return text.lower() == "true"
        try:
            return TYPES[self.base](text)
        except ValueError as error:
            raise BadParameter(f"parameter {self} cannot be {_shown(text)}") from error


def declared(notebook: NotebookNode) -> dict[str, Parameter]:
    """The parameters of the cell tagged `parameters`, by name; none without such a cell.

    The cell holds only lines `name: type = literal  # meaning`; anything else in it raises BadParameter with its line.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if not cells:
        return {}
    if len(cells) > 1:
        raise BadParameter(f"the notebook has {len(cells)} cells tagged 'parameters'; it may have one")
    source = cells[0].source
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError) as error:
        raise BadParameter(f"the parameters cell is not Python: {error}") from error
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for statement in statements:
        parameter = _parameter(statement, comments.get(statement.end_lineno or 0, ""))
        if parameter.name in found:
            raise BadParameter(f"the parameters cell assigns {parameter.name!r} twice")
        found[parameter.name] = parameter
    return found


def validated(workspace: Workspace, parameters: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values, checked; unknown names and unusable values raise BadParameter, which lists the valid ones.

    `as_of` must be a day or an instant (or empty, where the notebook then chooses). What would be injected is
    parsed again and must be plain assignments of exactly these values.
    """
    values = {}
    for name, value in given.items():
        if type(name) is not str or name not in parameters:
            valid = "; ".join(map(str, parameters.values())) or "none"
            raise BadParameter(f"unknown parameter {_shown(name)}; valid: {valid}")
        values[name] = parameters[name].checked(value)
    if values.get("as_of"):
        workspace.instant(values["as_of"])
    _prove_literal(values)
    return values


def _parameter(statement: ast.stmt, comment: str) -> Parameter:
    line = f"parameters cell, line {statement.lineno}"
    wrong = BadParameter(f"{line}: only `name: type = literal  # meaning` may stand there")
    if not isinstance(statement, ast.AnnAssign | ast.Assign) or statement.value is None:
        raise wrong
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    target, annotation = targets[0], getattr(statement, "annotation", None)
    if not isinstance(target, ast.Name) or len(targets) > 1:
        raise wrong
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, TypeError) as error:
        raise wrong from error
    shape = _shape(annotation) if annotation is not None else _shape_of_value(default)
    if shape is None:
        kinds = "str, int, float, bool, a list of one of these, or one of these | None"
        raise BadParameter(f"{line}: {target.id} needs a type: {kinds}")
    bounds = RANGE.search(comment)
    low, high = (float(bounds[1]), float(bounds[2])) if bounds else (-math.inf, math.inf)
    listed = CHOICES.search(comment)
    choices = tuple(choice.strip() for choice in listed[1].split(",")) if listed else ()
    parameter = Parameter(target.id, default=default, meaning=comment, choices=choices, low=low, high=high, **shape)
    parameter.checked(default)
    return parameter


def _shape(annotation: ast.expr) -> dict[str, Any] | None:
    """base, many, optional of an annotation; None if it is not one of the known ones."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        inner = _shape(annotation.left)
        is_none = isinstance(annotation.right, ast.Constant) and annotation.right.value is None
        return {**inner, "optional": True} if inner and is_none else None
    if isinstance(annotation, ast.Name) and annotation.id in TYPES:
        return {"base": annotation.id}
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "list":
        inner = _shape(annotation.slice)
        return {**inner, "many": True} if inner and set(inner) == {"base"} else None
    return None


def _shape_of_value(value: Any) -> dict[str, Any] | None:
    if type(value) is list:
        kinds = {type(item).__name__ for item in value}
        return {"base": kinds.pop(), "many": True} if len(kinds) == 1 and kinds <= set(TYPES) else None
    kind = type(value).__name__
    return {"base": kind} if kind in TYPES else None


def _comments(source: str) -> dict[int, str]:
    """Comment text by line number, without the hash."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}


def _check_text(parameter: Parameter, value: str) -> None:
    if len(value) > MAX_TEXT:
        raise BadParameter(f"parameter {parameter} has {len(value)} characters; at most {MAX_TEXT} are taken")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadParameter(f"parameter {parameter} cannot be {value!a}: it is not valid Unicode") from error


def _prove_literal(values: dict[str, Any]) -> None:
    """Parse the code papermill is about to inject and compare what it assigns with what was meant."""
    code = translate_parameters("python3", "python", values, "Parameters")
    assigned = {}
    for statement in ast.parse(code).body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            raise BadParameter(f"these parameters would be injected as code: {_shown(code)}")
        assigned[statement.targets[0].id] = ast.literal_eval(statement.value)
    if repr(assigned) != repr(values):
        raise BadParameter(f"these parameters would not arrive as they are: {_shown(repr(values))}")


def _shown(value: Any) -> str:
    """A short, safe picture of a value, whatever its own __repr__ would do."""
    text = ascii(value) if type(value) in (str, int, float, bool, type(None)) else f"a {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}…"
