"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const {monitor, keys, varied, figures, points} = data;
const jobs = data.jobs.map((job, index) => ({...job, index}));
const done = jobs.filter(job => job.figures[monitor] != null);
const byId = id => document.getElementById(id);
const percent = name => name === "val_accuracy";

// Figures as the terminal shows them.
const shown = (name, value) => value == null ? "–"
  : percent(name) ? (100 * value).toFixed(2) + "%"
  : name === "val_loss" ? (value < 1e4 ? value.toFixed(4) : value.toExponential(2))
  : name === "seconds" ? value.toFixed(value < 10 ? 2 : 1) : String(+value.toPrecision(6));
const short = value => Math.abs(value) >= 1e4 || (value && Math.abs(value) < 0.001)
  ? value.toExponential(0) : String(+value.toPrecision(3));
const tick = (name, value) => percent(name) ? +(100 * value).toFixed(2) + "%" : short(value);
const cut = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

document.title = byId("title").textContent = data.title;
byId("about").textContent = `${jobs.length} ${jobs.length === 1 ? "job" : "jobs"}, ${done.length} finished; ranked by ${monitor}, the best in green. `
  + `The test set has no say here.`;

function element(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// Jobs are chosen in one place and marked in all.
let chosen = [];
function choose(indices, from) {
  chosen = indices;
  mark();
  byId("told").textContent = indices.length === 1 ? describe(jobs[indices[0]])
    : indices.map(index => `${jobs[index].name} ${shown(monitor, jobs[index].figures[monitor])}`).join("; ");
  const row = from && from.tagName !== "TR" && document.querySelector("#jobs tbody tr.chosen");
  if (row) reveal(row);
}
function describe(job) {
  const values = keys.filter(key => key in job.values).map(key => `${key} ${job.values[key]}`);
  const results = job.state === "finished" ? figures.map(name => `${name} ${shown(name, job.figures[name])}`) : [job.state];
  return `${job.name}: ${[...values, ...results].join(", ")}${job.reason ? "; " + job.reason : ""}`;
}
function mark() {
  for (const node of document.querySelectorAll("[data-jobs]"))
    node.classList.toggle("chosen", node.dataset.jobs.split(" ").some(index => chosen.includes(Number(index))));
}
function reveal(row) {
  const frame = row.closest(".scroll"), head = frame.querySelector("thead").offsetHeight;
  if (row.offsetTop - head < frame.scrollTop) frame.scrollTop = row.offsetTop - head;
  else if (row.offsetTop + row.offsetHeight > frame.scrollTop + frame.clientHeight)
    frame.scrollTop = row.offsetTop + row.offsetHeight - frame.clientHeight;
}
function choosable(node, indices) {
  node.dataset.jobs = indices.join(" ");
  if (indices.length && indices.every(index => jobs[index].rank === 1)) node.classList.add("best");
  for (const event of ["click", "mouseenter", "focus"])
    node.addEventListener(event, () => choose(indices, node));
  if (node.tagName !== "TR") element("title", {}, node, jobs[indices[0]].name);
}

// Tables. A column has a name, the value of a row by which to sort, and the text that is shown.
const absent = value => value == null || value === "";
function ordered(x, y) {
  const numbers = [x, y].map(Number);
  return numbers.some(Number.isNaN) ? String(x).localeCompare(String(y)) : numbers[0] - numbers[1];
}
function table(place, columns, rows) {
  const heads = place.createTHead().insertRow(), body = place.createTBody();
  function sort(column, direction) {
    const sign = direction === "ascending" ? 1 : -1;
    for (const head of heads.cells) head.removeAttribute("aria-sort");
    column.head.setAttribute("aria-sort", direction);
    const [a, b] = [row => absent(column.of(row)), column.of];
    body.replaceChildren(...[...rows].sort((x, y) =>
      a(x) || a(y) ? a(x) - a(y) : sign * ordered(b(x), b(y))).map(row => row.node));
  }
  for (const row of rows) {
    row.node = document.createElement("tr");
    row.node.tabIndex = 0;
    if (row.state && row.state !== "finished") row.node.className = "unfinished";
    choosable(row.node, row.indices);
    for (const column of columns) {
      const cell = row.node.insertCell();
      cell.textContent = column.show ? column.show(column.of(row)) : column.of(row) ?? "";
      cell.className = column.number ? "number" : cell.textContent.length > 40 ? "long" : "";
      if (cell.className === "long") cell.title = cell.textContent;
    }
  }
  for (const column of columns) {
    const head = column.head = document.createElement("th"), button = document.createElement("button");
    head.scope = "col";
    if (column.number) head.className = "number";
    button.type = "button";
    button.textContent = column.name;
    button.addEventListener("click", () =>
      sort(column, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending"));
    head.append(button);
    heads.append(head);
  }
  sort(columns[0], "ascending");
}
const figure = name => ({name, number: true, of: row => row.figures[name], show: value => shown(name, value)});
const valueOf = key => ({name: key, of: row => row.values[key]});
const rank = {name: "rank", of: row => row.rank};
table(byId("jobs"),
  [{...rank}, {name: "job", of: job => job.name}, ...keys.map(valueOf), {name: "state", of: job => job.state},
   ...figures.map(figure)],
  jobs.map(job => ({...job, indices: [job.index]})));
if (points.length) {
  byId("ranking").hidden = false;
  table(byId("points"),
    [{...rank}, ...varied.filter(key => key !== "seed").map(valueOf), figure(monitor),
     {name: "95% interval", number: true, of: point => point.half, show: v => v == null ? "–" : "± " + shown(monitor, v)},
     {name: "deviation", number: true, of: point => point.deviation, show: value => shown(monitor, value)},
     {name: "seeds", number: true, of: point => point.seeds},
     {name: "against the best", of: point => point.verdict},
     ...figures.filter(name => name !== monitor).map(figure)],
    points.map(point => ({...point, indices: point.jobs})));
}

// Axes. A scale is logarithmic where its values are positive and span a factor of 100, unless it is to be straight.
const height = 300;
function canvas(id, least = 0) {
  const svg = byId(id), width = Math.max(280, least, svg.getBoundingClientRect().width);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.style.minWidth = least ? `${least}px` : "";
  return {svg, box: {left: 56, right: width - 12, top: 10, bottom: height - 38}};
}
function scale(values, from, to, straight = false) {
  let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const bent = !straight && low > 0 && high / low >= 100 ? Math.log10 : value => value;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) * .05, high + (Math.abs(high) || 1) * .05];
  const place = value => from + (bent(value) - bent(low)) / (bent(high) - bent(low)) * (to - from);
  return {low, high, place, logarithmic: bent === Math.log10};
}
function steps({low, high, logarithmic}, whole = false, number = 6) {
  if (logarithmic) {
    const decades = [];
    const stride = Math.max(1, Math.round(Math.log10(high / low) / number));
    for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * 1.000001; power += stride) decades.push(10 ** power);
    return decades;
  }
  const rough = (high - low) / number, power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, [1, 2, 5, 10].map(n => n * power).find(n => n >= rough * .999));
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}
function frame(svg, box, x, y, nameX, whole) {
  for (const value of steps(y)) {
    element("line", {x1: box.left, x2: box.right, y1: y.place(value), y2: y.place(value), class: "axis"}, svg);
    element("text", {x: box.left - 6, y: y.place(value) + 4, "text-anchor": "end"}, svg, tick(monitor, value));
  }
  for (const value of steps(x, whole))
    element("text", {x: x.place(value), y: box.bottom + 16, "text-anchor": "middle"}, svg, short(value));
  element("text", {x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle"}, svg, nameX);
}
function nothing({svg}, text) { element("text", {x: 20, y: 40}, svg, text); }
const line = places => ({points: places.map(place => place.join(",")).join(" "), class: "job"});
// The best are drawn last, above the others.
const backToFront = some => [...some].sort((a, b) => (a.rank === 1) - (b.rank === 1));

function drawCurves() {
  const {svg, box} = canvas("curves"), some = jobs.filter(job => job.curve.some(value => value != null));
  if (!some.length) return nothing({svg}, "no epoch has been validated");
  const x = scale([1, ...some.map(job => job.curve.length)], box.left + 6, box.right - 6, true);
  const y = scale(some.flatMap(job => job.curve.filter(value => value != null)), box.bottom, box.top, percent(monitor));
  frame(svg, box, x, y, "epoch", true);
  for (const job of backToFront(some)) {
    const places = job.curve.map((value, index) => value == null ? null : [x.place(index + 1), y.place(value)]).filter(Boolean);
    choosable(places.length > 1 ? element("polyline", line(places), svg)
      : element("circle", {cx: places[0][0], cy: places[0][1], r: 4, class: "job"}, svg), [job.index]);
  }
}
function drawTimes() {
  const {svg, box} = canvas("times");
  if (!done.length) return nothing({svg}, "no job is finished");
  const x = scale(done.map(job => job.figures.seconds), box.left + 10, box.right - 10);
  const y = scale(done.map(job => job.figures[monitor]), box.bottom - 8, box.top + 8, percent(monitor));
  frame(svg, box, x, y, "seconds of training");
  for (const job of backToFront(done))
    choosable(element("circle", {cx: x.place(job.figures.seconds), cy: y.place(job.figures[monitor]), r: 5, class: "job"}, svg), [job.index]);
}

// Values of a hyperparameter: numbers lie on a scale, words stand in order.
function axis(key, from, to) {
  const texts = [...new Set(done.map(job => job.values[key] ?? "–"))].sort(ordered);
  if (!texts.some(text => text.trim() === "" || Number.isNaN(Number(text)))) {
    const {place} = scale(texts.map(Number), from, to);
    return {key, texts, place: text => place(Number(text))};
  }
  const gap = (to - from) / Math.max(1, texts.length - 1);
  return {key, texts, place: text => texts.length > 1 ? from + texts.indexOf(text) * gap : (from + to) / 2};
}
function drawParallel() {
  const {svg, box} = canvas("parallel", varied.length * 84 + 110);
  if (!done.length || !varied.length) return nothing({svg}, "nothing varies, or no job is finished");
  const top = 44, bottom = height - 16, axes = varied.map(key => axis(key, bottom, top));
  const result = scale(done.map(job => job.figures[monitor]), bottom, top, percent(monitor));
  const start = 14 + 6.2 * Math.min(12, Math.max(...axes[0].texts.map(text => text.length), axes[0].key.length / 2));
  const at = index => start + index * ((box.right - 48 - start) / axes.length);
  const upright = index => element("line", {x1: at(index), x2: at(index), y1: top, y2: bottom, class: "axis"}, svg);
  for (let index = 0; index <= axes.length; index++) upright(index);
  for (const job of backToFront(done)) {
    const places = axes.map(({key, place}, index) => [at(index), place(job.values[key] ?? "–")]);
    places.push([at(axes.length), result.place(job.figures[monitor])]);
    choosable(element("polyline", line(places), svg), [job.index]);
  }
  for (const [index, {key, texts, place}] of axes.entries()) {
    element("text", {x: at(index), y: index % 2 ? 32 : 16, "text-anchor": "middle"}, svg, cut(key, 24));
    let last = Infinity;
    for (const text of texts) {
      if (Math.abs(last - place(text)) < 13) continue;
      last = place(text);
      element("text", {x: at(index) - 6, y: last + 4, "text-anchor": "end"}, svg, cut(text, 12));
    }
  }
  element("text", {x: at(axes.length), y: axes.length % 2 ? 32 : 16, "text-anchor": "middle"}, svg, monitor);
  for (const value of steps(result))
    element("text", {x: at(axes.length) + 6, y: result.place(value) + 4}, svg, tick(monitor, value));
}

function drawEffects() {
  const place = byId("effects"), width = Math.max(280, place.clientWidth);
  place.replaceChildren();
  for (const {key, groups} of data.effects) {
    const tall = groups.length * 20 + 44;
    const svg = element("svg", {viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": `Main effect of ${key}`}, place);
    svg.style.height = `${tall}px`;
    const longest = Math.max(...groups.map(group => cut(group.text, 22).length + String(group.n).length + 3));
    const left = Math.min(width / 2, 14 + 6.4 * longest);
    const x = scale(groups.flatMap(({mean, half}) => [mean - (half ?? 0), mean + (half ?? 0)]), left, width - 24, true);
    element("text", {x: 4, y: 14, "font-weight": "bold"}, svg, key);
    for (const value of steps(x, false, width < 420 ? 4 : 6)) {
      element("line", {x1: x.place(value), x2: x.place(value), y1: 20, y2: tall - 18, class: "axis"}, svg);
      element("text", {x: x.place(value), y: tall - 4, "text-anchor": "middle"}, svg, tick(monitor, value));
    }
    for (const [index, {text, mean, half, n}] of groups.entries()) {
      const y = 32 + index * 20;
      const label = element("text", {x: left - 10, y: y + 4, "text-anchor": "end"}, svg, `${cut(text, 22)} (${n})`);
      element("title", {}, label, text);
      if (half != null)
        element("line", {x1: x.place(mean - half), x2: x.place(mean + half), y1: y, y2: y, class: "mean"}, svg);
      element("circle", {cx: x.place(mean), cy: y, r: 4, class: "mean"}, svg);
    }
  }
  if (!data.effects.length) place.textContent = "nothing varies, or no job is finished";
}

function draw() {
  drawCurves(); drawTimes(); drawParallel(); drawEffects();
  mark();
}
let drawn = innerWidth;
addEventListener("resize", () => { if (drawn !== innerWidth) { drawn = innerWidth; draw(); } });
draw();
