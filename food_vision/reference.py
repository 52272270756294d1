"""The reference pages, written from the code so that they cannot miss a setting or an error.

``python -m food_vision.reference`` writes ``docs/errors.md``, ``docs/settings.md`` and the README's table anew.
"""

from collections.abc import Iterator
from pathlib import Path

from food_vision.errors import CallerProblem, Problem, ServiceProblem, SourceProblem, all_problems
from food_vision.settings import settings_table

FAMILIES: dict[type[Problem], str] = {
    CallerProblem: "the request",
    SourceProblem: "the link's server",
    ServiceProblem: "this service",
}

ERRORS_HEAD = """# Errors

Every failure, but those of the Open Inference Protocol below `/v2`, is `application/problem+json` (RFC 9457) with the
members `type`, `title`, `status`, `code`, `detail` and `request_id`. Programs should look at `code`; people at
`detail`. The request id is also in the service's log, beside what only the operator may know. A `429` or `503` carries
`Retry-After` in seconds.

| status | code | at fault |
|---|---|---|
"""

SETTINGS_HEAD = """# Settings

Environment variables; none is needed. A bad value stops the start with one line that says which variable, what it got
and what it takes. Lists are separated by commas. Booleans are `true` or `false`.

"""

TABLE_BEGINS, TABLE_ENDS = "<!-- settings -->\n", "<!-- end of settings -->"


def errors_page() -> str:
    """Return ``docs/errors.md``, which the service also answers at ``/docs/errors.md``."""
    problems = sorted(all_problems(), key=lambda problem: (problem.status, problem.code))
    rows = "".join(f"| {p.status} | [`{p.code}`](#{_anchor(p)}) | {_at_fault(p)} |\n" for p in problems)
    return ERRORS_HEAD + rows + "".join(_sections(problems))


def settings_page() -> str:
    """Return ``docs/settings.md``."""
    return SETTINGS_HEAD + settings_rows()


def settings_rows() -> str:
    """Return the table of settings."""
    return "| variable | default | what it does |\n|---|---|---|\n" + "".join(
        f"| `{row.variable}` | {f'`{row.default}`' if row.default else ''} | {row.help} |\n" for row in settings_table()
    )


def with_settings(text: str) -> str:
    """Return a text with the table between its two marks renewed."""
    before, rest = text.split(TABLE_BEGINS)
    return before + TABLE_BEGINS + settings_rows() + TABLE_ENDS + rest.split(TABLE_ENDS)[1]


def _sections(problems: list[type[Problem]]) -> Iterator[str]:
    for problem in problems:
        yield f"\n## {_anchor(problem)}\n\n`{problem.status}` · {problem.title}. {problem.detail}\n\n{problem.advice}\n"


def _anchor(problem: type[Problem]) -> str:
    return problem.code.replace("_", "-")


def _at_fault(problem: type[Problem]) -> str:
    return next(text for family, text in FAMILIES.items() if issubclass(problem, family))


def main() -> None:
    """Write the pages."""
    root = Path(__file__).parent.parent
    (root / "docs" / "errors.md").write_text(errors_page(), encoding="utf-8")
    (root / "docs" / "settings.md").write_text(settings_page(), encoding="utf-8")
    readme = root / "README.md"
    readme.write_text(with_settings(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
