"""A measurement as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

from fleetlabel.engine.bench.result import Bench
from fleetlabel.model.errors import UsageError
from fleetlabel.store.durable import write_file

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{{ b.work["sequence"] }}: throughput</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #d8dde3;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
.bar { height: .6rem; background: #2f6fb0; border-radius: 2px; min-width: 1px; }
.big { font-size: 1.5rem; margin: 0; }
</style>
<h1>{{ b.work["sequence"] }}</h1>
<p class="big">{{ "%.1f"|format(b.pictures_per_s) }} pictures/s, {{ "%.1f"|format(b.frames_per_s) }} frames/s,
efficiency {{ "%.2f"|format(b.efficiency) }} ({{ "%.2f"|format(b.unavoidable) }} of the core time used)</p>
<p>Median of {{ b.repeats|length }}, spread {{ "%.0f"|format(100 * b.spread) }} %; the first of all times took
{{ "%.2f"|format(b.first_s) }} s, the others {{ "%.2f"|format(b.wall_s) }} s; most memory
{{ "%.0f"|format(b.peak_bytes / 1048576) }} MiB.
{% if b.costs %}Cost: {% for name, cost in b.costs.items() %}{{ "%.4g"|format(cost) }} for
{{ name.replace("1000_", "1,000 ") }}{{ "; " if not loop.last }}{% endfor %}.{% endif %}</p>
<p>The limit is the core time that cannot be avoided, on all cores: per picture
{% for name, ms in b.limit_core_ms.items() %}{{ name }} {{ "%.2f"|format(ms) }} ms{{ ", " if not loop.last }}
{% endfor %}.</p>
<table><tr><th>step<th>frames<th>frames/s of a core<th>ms p50<th>ms p99<th>core-s<th>bytes/frame<th>share
<th style="width: 20%">
{% for line in b.steps %}<tr><td>{{ line.step }}<td>{{ "{:,}".format(line.frames) if line.frames }}
<td>{{ "{:,.0f}".format(line.frames_per_s) if line.frames }}
<td>{{ "%.3f"|format(line.ms_p50) if line.ms_p50 is not none }}
<td>{{ "%.3f"|format(line.ms_p99) if line.ms_p99 is not none }}
<td>{{ "%.3f"|format(line.core_s) }}
<td>{{ "{:,.0f}".format(line.n_bytes / line.frames) if line.frames and line.n_bytes }}
<td>{{ "%.1f"|format(100 * line.share) }} %
<td><div class="bar" style="width: {{ "%.1f"|format(100 * line.share) }}%"></div>
{% endfor %}</table>
{% for title, values in (("Work", b.work), ("How", b.how), ("Machine", b.machine), ("GPU", b.gpu or {})) if values %}
<h2>{{ title }}</h2>
<table>{% for name, value in values.items() %}<tr><td>{{ name }}<td>{{ value }}{% endfor %}</table>
{% endfor %}
{% for warning in b.warnings %}<p>Warning: {{ warning }}</p>{% endfor %}
</html>
"""


def write_page(path: Path, bench: Bench) -> None:
    """Writes the page.

    Raises:
        UsageError: the file's name does not end in .html.
    """
    import jinja2

    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"{path} is no page; give it a name that ends in .html")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    write_file(path, environment.from_string(_PAGE).render(b=bench).encode())
