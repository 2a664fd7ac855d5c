"""The frame of every report: one page that loads nothing from anywhere."""

from html import escape
from typing import Final

STYLE: Final = """
:root { --ink: #1f2937; --soft: #6b7280; --line: #e5e7eb; --good: #047857; --bad: #b91c1c; }
* { box-sizing: border-box; }
body { margin: 0; background: #f8fafc; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 980px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 44px 0 10px; }
p { margin: 6px 0 14px; color: var(--soft); max-width: 76ch; }
.verdict { display: inline-block; margin: 14px 0 6px; padding: 6px 14px; border-radius: 999px;
  color: #fff; font-weight: 600; }
.verdict.good { background: var(--good); } .verdict.bad { background: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin-top: 18px; }
.tile, figure, .sheet { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 12px 16px; } .tile b { display: block; font-size: 23px; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 14px; }
figure { margin: 0; padding: 14px 12px 6px; } .sheet { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; font-size: 12px; fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .axis { stroke: #9ca3af; }
svg .ytick, svg .note { text-anchor: end; } svg .xtick, svg .tag { text-anchor: middle; }
svg .level { stroke: #6b7280; stroke-dasharray: 5 4; }
svg .tag { fill: var(--bad); font-size: 11px; font-weight: 600; }
svg .title { font-size: 12.5px; } svg .legend, svg .note { fill: var(--ink); }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; }
th, td { text-align: left; padding: 7px 14px; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tr:last-child td { border-bottom: 0; } th { background: #f9fafb; font-weight: 600; }
td:nth-child(2) { width: 36%; } table.plain td:nth-child(2) { width: auto; }
table.plain td { font-variant-numeric: tabular-nums; }
pre { margin: 0; padding: 12px 16px; font: 13px/1.5 ui-monospace, "Liberation Mono", monospace; }
pre.replay { white-space: pre-wrap; overflow-wrap: anywhere; }
.figures th, .figures td, .figures td:nth-child(2) { width: auto; padding: 5px 7px;
  font-size: 12.5px; font-variant-numeric: tabular-nums; }
td.mark { font-weight: 700; white-space: nowrap; }
td.good { color: var(--good); } td.bad { color: var(--bad); }
td.code { font-family: ui-monospace, "Liberation Mono", monospace; font-size: 13px; }
ol { padding-left: 24px; columns: 2; margin: 10px 0 0; } li { margin-bottom: 2px; }
footer { margin-top: 48px; color: var(--soft); font-size: 14px; }
"""


def frame(title: str, body: str) -> str:
    """Return a whole document around the HTML in `body`."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )
