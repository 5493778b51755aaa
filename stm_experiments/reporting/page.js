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

// The table of runs: a text and one choice for some of its columns.
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

// The latent space: a cloud of points that turns with the pointer or the arrow keys.
const CLASSES = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function ramp(t) {
  const at = Math.min(Math.max(t, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  const part = RAMP[low].map((c, i) => Math.round(c + (at - low) * (RAMP[low + 1][i] - c)));
  return `rgb(${part})`;
}

function cloud(data) {
  const canvas = document.getElementById("cloud");
  const [chosen, colour] = ["cloud-run", "cloud-colour"].map((id) => document.getElementById(id));
  const legend = document.getElementById("cloud-legend");
  let [turn, tilt, points, size] = [0.6, 0.4, [], 1];
  data.forEach((run, i) => chosen.add(new Option(run.name, i)));

  function columns() {
    const before = colour.value;
    colour.replaceChildren();
    const names = Object.keys(data[chosen.value].columns).filter((name) => !/^pc\d$/.test(name));
    names.forEach((name) => colour.add(new Option(name, name)));
    if (names.includes(before)) colour.value = before;
    load();
  }

  function load() {
    const table = data[chosen.value].columns;
    const values = table[colour.value] || table.pc1.map(() => "all");
    const known = values.filter((value) => value !== null);
    legend.replaceChildren();
    let paint;
    if (known.some((value) => typeof value === "string")) {
      const classes = [...new Set(known)].sort();
      paint = (value) => CLASSES[classes.indexOf(value) % CLASSES.length];
      classes.forEach((name) => entry(paint(name), name));
    } else {
      const [low, high] = known.reduce(
        ([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
      paint = (value) => (value === null ? "#999" : ramp((value - low) / (high - low || 1)));
      const bar = entry("", "");
      const stops = [0, 1, 2, 3, 4].map((i) => ramp(i / 4));
      bar.replaceChildren(String(low), document.createElement("i"), String(high));
      bar.children[0].className = "ramp";
      bar.children[0].style.background = `linear-gradient(90deg, ${stops})`;
      if (low === high) bar.replaceChildren(`everywhere ${low}`);
    }
    points = values.map((v, i) => [table.pc1[i], table.pc2[i], table.pc3[i], paint(v)]);
    size = Math.max(...points.map(([x, y, z]) => Math.hypot(x, y, z)), 1e-12);
    draw();
  }

  function entry(background, text) {
    const item = document.createElement("span");
    const dot = document.createElement("i");
    dot.style.background = background;
    item.append(dot, text);
    legend.append(item);
    return item;
  }

  function project([x, y, z]) {
    const [a, b] = [Math.cos(turn) * x - Math.sin(turn) * y, Math.sin(turn) * x + Math.cos(turn) * y];
    return [a, Math.cos(tilt) * z - Math.sin(tilt) * b, Math.sin(tilt) * z + Math.cos(tilt) * b];
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = Math.min(width, 520);
    canvas.style.height = `${height}px`;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    const pen = canvas.getContext("2d");
    const unit = (0.46 * height) / size;
    pen.scale(ratio, ratio);
    pen.translate(width / 2, height / 2);
    const cast = points.map((point) => [...project(point), point[3]]);
    cast.sort((p, q) => q[2] - p[2]);
    pen.globalAlpha = 0.75;
    for (const [x, y, depth, fill] of cast) {
      pen.fillStyle = fill;
      pen.beginPath();
      pen.arc(x * unit, -y * unit, 2.6 - (0.9 * depth) / size, 0, 7);
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = "#555";
    pen.fillStyle = "#222";
    pen.font = "13px system-ui, sans-serif";
    ["PC 1", "PC 2", "PC 3"].forEach((name, axis) => {
      const end = project([0, 1, 2].map((i) => (i === axis ? 0.8 * size : 0)));
      pen.beginPath();
      pen.moveTo(0, 0);
      pen.lineTo(end[0] * unit, -end[1] * unit);
      pen.stroke();
      pen.fillText(name, end[0] * unit + 4, -end[1] * unit - 4);
    });
  }

  function rotate(dx, dy) {
    turn += dx;
    tilt = Math.min(Math.max(tilt + dy, -1.57), 1.57);
    draw();
  }
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) rotate(event.movementX / 120, event.movementY / 120);
  });
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (!step[event.key]) return;
    event.preventDefault();
    rotate(...step[event.key]);
  });
  chosen.addEventListener("input", columns);
  colour.addEventListener("input", load);
  window.addEventListener("resize", draw);
  columns();
}
const latent = document.getElementById("latent-data");
if (latent) cloud(JSON.parse(latent.textContent));
