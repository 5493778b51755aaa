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
  const choices = columns.filter((name) => names.includes(name)).map((name) => {
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
const table = document.getElementById("table-runs");
if (table && document.getElementById("filters")) {
  filters(table, ["status", "lattice", "noise", "images", "model"]);
}

// Charts: drawn when they come into view, in the colours of the page.
const BUTTONS = { displaylogo: false };
const TOOLS = ["select2d", "lasso2d", "autoScale2d"];

function styled(layout) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  const base = {
    font: { color: colour("--ink"), family: "system-ui, sans-serif", size: 12 },
    paper_bgcolor: colour("--page"),
    plot_bgcolor: colour("--page"),
    legend: { yref: "container", y: 0, yanchor: "bottom", x: 0, tracegroupgap: 0 },
    hoverlabel: { align: "left" },
    hovermode: "closest",
  };
  const axes = {};
  for (const name of ["xaxis", "yaxis"]) axes[name] = { ...axis, ...layout[name] };
  return { ...base, ...layout, ...axes };
}

function draw(place) {
  const { data, layout } = JSON.parse(place.querySelector("script").textContent);
  const least = layout.meta?.least_width;
  if (least) place.style.minWidth = `${least}px`;
  Plotly.newPlot(place, data, styled(layout), { ...BUTTONS, modeBarButtonsToRemove: TOOLS });
  sized.observe(place);
}

const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) if (target.clientWidth) Plotly.Plots.resize(target);
});

const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      if (target.id === "cloud") drawCloud(target);
      else draw(target);
    }
  },
  { rootMargin: "400px" },
);
document.querySelectorAll(".chart, #cloud").forEach((place) => seen.observe(place));

// The cloud of codes: choices of the run and the colour, the patch under the pointer, arrow keys.
function drawCloud(cloud) {
  const content = JSON.parse(document.getElementById("cloud-data").textContent);
  const { names, traces, factors, colours, step, sheets, sides } = content;
  const panel = document.getElementById("cloud-choices");
  const choose = (label, options) => {
    const select = document.createElement("select");
    options.forEach((text, value) => select.add(new Option(text, value)));
    const parent = document.createElement("label");
    parent.append(label, select);
    if (options.length > 1) panel.append(parent);
    return select;
  };
  const run = choose("run", names);
  const factor = choose("coloured by", factors);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink").trim();
  const scene = { camera: { eye: { x: 1.4, y: 1.4, z: 1.0 }, center: { x: 0, y: 0, z: -0.1 } } };
  ["x", "y", "z"].forEach((axis, i) => {
    scene[`${axis}axis`] = { title: { text: `PC ${i + 1}` }, color: ink, gridcolor: "#88888855" };
  });
  const layout = styled({ scene, margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: "kept" });
  const update = () => {
    const markers = colours[factors[factor.value || 0]];
    const trace = { ...traces[run.value] };
    if (markers) trace.marker = markers[run.value];
    Plotly.react(cloud, [trace], layout, BUTTONS);
  };
  run.addEventListener("input", update);
  factor.addEventListener("input", update);
  update();
  sized.observe(cloud);

  const patch = document.getElementById("patch");
  const images = sheets.map((uri) => uri && Object.assign(new Image(), { src: uri }));
  cloud.on("plotly_hover", ({ points }) => showPatch(points[0].pointNumber));
  cloud.on("plotly_unhover", () => (patch.hidden = true));
  cloud.showPatch = showPatch;

  function showPatch(point) {
    const [image, side] = [images[run.value], sides[run.value]];
    if (!image) return;
    const columns = image.naturalWidth / side;
    const index = point * step;
    const [left, top] = [(index % columns) * side, Math.floor(index / columns) * side];
    const context = patch.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(image, left, top, side, side, 0, 0, patch.width, patch.height);
    patch.hidden = false;
  }

  cloud.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (!steps[event.key]) return;
    event.preventDefault();
    const { x, y, z } = cloud._fullLayout.scene.camera.eye;
    const [turn, tilt] = steps[event.key];
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
