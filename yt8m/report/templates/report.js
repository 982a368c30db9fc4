"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[column], text = cell.dataset.v ?? cell.textContent, number = Number(text);
    return text.trim() === "" || Number.isNaN(number) ? text : number;
  };
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
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

// A browser shows a <title> late, and never to a finger: its text moves to the page's own tip.
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

const clock = seconds => Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");

/** Text on the segment of a timeline's strip that is at x, in pixels of the window. */
const segmentText = (strip, x) => {
  const video = strip.closest(".video"), starts = video.dataset.starts.split(" ").map(Number), end = Number(video.dataset.end);
  const box = strip.getBoundingClientRect(), second = (x - box.left) / box.width * end;
  const place = Math.max(0, starts.findLastIndex(start => start <= second));
  const value = strip.dataset.n.split(" ")[place];
  const said = value === "-" ? "not listed" : strip.dataset.kind + " " + value;
  const mark = [...strip.querySelectorAll(".mark")].find(other => Number(other.dataset.start) === starts[place]);
  return strip.dataset.name + ", " + clock(starts[place]) + ": " + said + (mark ? ", " + mark.title : "");
};

const show = event => {
  const strip = event.target.closest?.(".strip"), mark = event.target.closest?.("[data-tip]");
  tip.hidden = !strip && !mark;
  if (tip.hidden) return;
  tip.textContent = strip ? segmentText(strip, event.clientX) : mark.dataset.tip;
  tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4)) + "px";
  tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
};
document.addEventListener("pointermove", show);
document.addEventListener("pointerdown", show);
