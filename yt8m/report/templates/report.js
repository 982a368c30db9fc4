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

/** The start, in seconds, of the segment of a timeline that holds a second. */
const segmentStart = (video, second) =>
  video.dataset.starts.split(" ").map(Number).findLast(start => start <= second) ?? 0;

// A video beside its timeline: a click plays from there, and the playhead runs over the rows.
for (const player of document.querySelectorAll(".player")) {
  const video = player.closest(".video"), strips = [...video.querySelectorAll(".strip")], end = Number(video.dataset.end);
  const heads = strips.map(strip => strip.appendChild(Object.assign(document.createElement("i"), {className: "playhead"})));
  const draw = () => {
    const second = Math.min(player.currentTime, end);
    heads.forEach(head => head.style.left = 100 * second / end + "%");
    strips.forEach(strip => {
      strip.setAttribute("aria-valuenow", Math.floor(second));
      strip.setAttribute("aria-valuetext", clock(Math.floor(second)));
    });
  };
  const follow = () => {
    draw();
    if (!player.paused && !player.ended) requestAnimationFrame(follow);
  };
  const seek = second => {
    player.currentTime = Math.max(0, Math.min(second, end));
    draw();
  };
  for (const event of ["play", "seeked", "timeupdate", "loadedmetadata"]) player.addEventListener(event, follow);
  player.addEventListener("error", () => {
    player.hidden = true;
    video.querySelector(".unplayable").hidden = false;
  });
  for (const strip of strips) {
    strip.addEventListener("click", event => {
      const box = strip.getBoundingClientRect();
      seek(segmentStart(video, (event.clientX - box.left) / box.width * end));
      player.play().catch(() => {});
    });
    strip.addEventListener("keydown", event => {
      const now = segmentStart(video, player.currentTime), keys = {
        ArrowRight: () => seek(now + 5), ArrowLeft: () => seek(player.currentTime - now > 1 ? now : now - 5),
        Home: () => seek(0), End: () => seek(segmentStart(video, end - .01)),
        " ": () => player.paused ? player.play().catch(() => {}) : player.pause(),
        Enter: () => player.play().catch(() => {}),
      };
      if (!(event.key in keys)) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
  draw();
}
