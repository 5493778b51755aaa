"use strict";

// Tables: a click on a heading sorts by it, numbers by value, empty cells last.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.querySelectorAll("tr.headings th")];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
      rows.sort(([a], [b]) => compare(a, b, down ? -1 : 1));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

function key(cell) {
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  const text = cell.textContent.trim();
  return text === "\u2013" ? null : text;
}

function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
}

// The table of runs: a search for words, and a choice for some of its columns.
function filters(table, columns) {
  const panel = document.getElementById("filters");
  const rows = [...table.tBodies[0].rows];
  const names = [...table.querySelectorAll("tr.headings th")].map((th) => th.textContent);
  const count = document.createElement("span");
  const search = document.createElement("input");
  const choices = columns.map((name) => {
    const column = names.indexOf(name);
    const select = document.createElement("select");
    const texts = new Set(rows.map((row) => row.cells[column].textContent));
    select.add(new Option("all", ""));
    [...texts].sort().forEach((text) => select.add(new Option(text, "=" + text)));
    return { name, column, select };
  });
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = choices.every(
        ({ column, select }) =>
          select.value === "" || select.value === "=" + row.cells[column].textContent,
      );
      row.hidden = !(fits && words.every((word) => text.includes(word)));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} runs`;
  };
  search.type = "search";
  search.placeholder = "any words";
  for (const { name, select } of [{ name: "search", select: search }, ...choices]) {
    const label = document.createElement("label");
    label.append(name, select);
    panel.append(label);
    select.addEventListener("input", apply);
  }
  count.className = "count";
  count.setAttribute("role", "status");
  panel.append(count);
  apply();
}
const runs = document.getElementById("table-runs");
if (runs) filters(runs, ["status", "lattice", "configuration", "network"]);

// The latent space: the arrow keys turn the cloud about its vertical axis, or tilt it.
const cloud = document.getElementById("cloud");
if (cloud) {
  cloud.tabIndex = 0;
  cloud.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (!step[event.key]) return;
    event.preventDefault();
    const { x, y, z } = cloud.layout.scene.camera.eye;
    const [turn, tilt] = step[event.key];
    const distance = Math.hypot(x, y, z);
    const azimuth = Math.atan2(y, x) + turn;
    const elevation = Math.min(Math.max(Math.asin(z / distance) + tilt, -1.5), 1.5);
    Plotly.relayout(cloud, {
      "scene.camera.eye": {
        x: distance * Math.cos(elevation) * Math.cos(azimuth),
        y: distance * Math.cos(elevation) * Math.sin(azimuth),
        z: distance * Math.sin(elevation),
      },
    });
  });
}
