"""Tables for people, and their place in the documentation."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.harness.servers import ROOT

FIGURES = ROOT / "docs" / "figures"


def machine() -> str:
    """Name the machine by what matters for these figures."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = cpuinfo.split("model name")[1].split(":")[1].split("\n")[0].strip()
    vnni = " with AVX-512 VNNI" if "avx512_vnni" in cpuinfo else " with AVX-VNNI" if "avx_vnni" in cpuinfo else ""
    return f"{len(os.sched_getaffinity(0))} vCPU {model}{vnni}, Linux, Python {platform.python_version()}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(page: Path, name: str, text: str) -> None:
    """Put ``text`` between the page's marks ``<!-- name -->`` and ``<!-- end of name -->``."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    content = page.read_text(encoding="utf-8")
    before, found, rest = content.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise LookupError(f"{page} has no place for {name}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def draw(name: str, title: str, svg: str) -> str:
    """Write a figure of the documentation; return what shows it on a page."""
    FIGURES.mkdir(parents=True, exist_ok=True)
    (FIGURES / f"{name}.svg").write_text(svg, encoding="utf-8")
    return f"![{title}](figures/{name}.svg)"
