"""Style and script of the reports, written into every page so that it needs no other file."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1f2430; --soft: #5d6675; --line: #dfe3e8; --panel: #f6f7f9;
  --c0: #2563a8; --c1: #c8502b; --c2: #2a7f62; --c3: #8a5fb0; --c4: #a8780f; --c5: #5b6770; --good: #1d7a4f; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --paper: #14171c; --ink: #e6e9ee; --soft: #9aa5b4; --line: #333a45;
  --panel: #1d2229; --c0: #6ea8ea; --c1: #f08c66; --c2: #5cc39b; --c3: #bd98e0; --c4: #dcb04c; --c5: #a3afba;
  --good: #5cc39b; --bad: #ff8a80 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere }
h1 { font-size: 1.6rem; line-height: 1.2 } h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem } p { max-width: 46rem; margin: .5rem 0 } .soft { color: var(--soft) }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem; margin: 1rem 0 }
.cards div { background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .7rem }
.cards b { display: block; font-size: 1.2rem; font-variant-numeric: tabular-nums } .cards span { color: var(--soft);
  font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem }
.beside { display: flex; flex-wrap: wrap; gap: 1rem 2rem } .beside figure { flex: 0 1 24rem }
figure { margin: 0; break-inside: avoid } figcaption { font-weight: 600; font-size: .95rem }
svg { display: block; max-width: 100% } svg text { font: 12px system-ui, sans-serif; fill: var(--ink) }
svg .axis { stroke: var(--line) } svg .guide { stroke: var(--soft) } svg .soft { fill: var(--soft) }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem; padding: 0; margin: .2rem 0; list-style: none }
.legend svg { display: inline-block; vertical-align: middle; margin-right: .3rem }
.scroll { overflow-x: auto } .tall { max-height: 34rem; overflow-y: auto; width: fit-content; max-width: 100%; border: 1px solid var(--line); border-radius: .4rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 9rem; max-width: 22rem }
.two-texts th:nth-child(2), .two-texts td:nth-child(2) { text-align: left }
.tall thead th { position: sticky; top: 0; background: var(--panel) }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
th button::after { content: " \\2195"; color: var(--soft) }
th[aria-sort=ascending] button::after { content: " \\2191"; color: var(--ink) }
th[aria-sort=descending] button::after { content: " \\2193"; color: var(--ink) }
.video { break-inside: avoid; margin: 1.2rem 0 }
.row { display: grid; grid-template-columns: 10rem 1fr; gap: .6rem; align-items: center; margin: 2px 0; font-size: .85rem }
.row > :first-child { text-align: right; line-height: 1.15 }
.strip { position: relative; height: 1.35rem; background: var(--panel); cursor: crosshair }
.strip svg { position: absolute; inset: 0; width: 100%; height: 100% } .strip path { fill: var(--c0) }
.strip i { position: absolute; top: 0; height: 100%; border: 2px solid; font: 700 .8rem/1rem system-ui, sans-serif;
  text-align: center; overflow: hidden; color: var(--good); text-shadow: 0 0 2px var(--paper), 0 0 2px var(--paper),
  0 0 3px var(--paper) } .strip i.neg { color: var(--bad) } .strip i.wrong { border-style: dotted; border-width: 3px }
.ticks { position: relative; height: 1.1rem; font-size: .75rem; color: var(--soft) }
.ticks span { position: absolute; border-left: 1px solid var(--line); padding-left: .2rem }
#tip { position: fixed; z-index: 2; pointer-events: none; background: var(--ink); color: var(--paper); padding: .2rem .5rem;
  border-radius: .3rem; font-size: .85rem; max-width: 90vw }
@media (max-width: 34rem) { .row { grid-template-columns: 1fr; gap: 0; margin: .35rem 0 }
  .row > :first-child { text-align: left } .ticks-name { display: none } th, td { padding: .25rem .4rem } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #444; --line: #bbb; --panel: #f3f3f3;
  --c0: #2563a8; --c1: #c8502b; --c2: #2a7f62; --c3: #8a5fb0; --c4: #a8780f; --c5: #5b6770; --good: #1d7a4f;
  --bad: #b3261e } body { font-size: 10pt; max-width: none; padding: 0; print-color-adjust: exact;
  -webkit-print-color-adjust: exact } .tall { max-height: none; overflow: visible; border: 0 } .scroll { overflow: visible }
  .two-texts th:nth-child(2), .two-texts td:nth-child(2) { text-align: left }
thead { display: table-row-group } .tall thead th { position: static } th button::after { content: none } tr { break-inside: avoid } h2, h3 {
  break-after: avoid } #tip { display: none } .charts { grid-template-columns: repeat(2, 1fr) } }
""" + "".join(f".strip .l{level} {{ fill-opacity: {level / 9:.2f} }}\n" for level in range(1, 10))

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, column) => { const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent, number = Number(text);
    return text.trim() === "" || Number.isNaN(number) ? text : number; };
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const rows = [...body.rows], numeric = rows.every(row => typeof key(row, column) === "number");
    const now = head.getAttribute("aria-sort");
    const down = now ? now === "ascending" : numeric;
    const compare = numeric ? (a, b) => a - b : (a, b) => String(a).localeCompare(String(b));
    rows.sort((a, b) => (down ? -1 : 1) * compare(key(a, column), key(b, column)));
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
const tip = document.createElement("div");
tip.id = "tip"; tip.hidden = true; document.body.append(tip);
const clock = seconds => Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
const show = event => {
  const strip = event.target.closest?.(".strip");
  tip.hidden = !strip;
  if (!strip) return;
  const video = strip.closest(".video"), starts = video.dataset.starts.split(" ").map(Number), end = Number(video.dataset.end);
  const box = strip.getBoundingClientRect(), second = (event.clientX - box.left) / box.width * end;
  let place = 0;
  starts.forEach((start, index) => { if (start <= second) place = index; });
  const value = strip.dataset.n.split(" ")[place];
  const said = value === "-" ? "not listed" : strip.dataset.kind + " " + value;
  const mark = [...strip.querySelectorAll("i")].find(other => Number(other.dataset.start) === starts[place]);
  tip.textContent = strip.dataset.name + ", " + clock(starts[place]) + ": " + said + (mark ? ", " + mark.title : "");
  tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4)) + "px";
  tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
};
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
"""
