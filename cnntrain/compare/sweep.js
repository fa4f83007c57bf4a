"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const {monitor, keys, varied, figures, points} = data;
const percent = name => data.scores[name]?.is_fraction;
// Of a job that was pruned or stopped, the best value of its curve is shown, as an open mark.
const bestOf = curve => curve.filter(value => value != null)
  .reduce((a, b) => a == null || (data.scores[monitor].higher_is_better ? b > a : b < a) ? b : a, null);
const jobs = data.jobs.map((job, index) =>
  ({...job, index, result: job.figures[monitor] ?? bestOf(job.curves[monitor] ?? [])}));
const done = jobs.filter(job => job.figures[monitor] != null), seen = jobs.filter(job => job.result != null);
const byId = id => document.getElementById(id);
const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

// Figures as the terminal shows them.
const shown = (name, value) => value == null ? "–"
  : percent(name) ? (100 * value).toFixed(2) + "%"
  : name in data.scores ? (value < 1e3 ? value.toFixed(4) : value.toExponential(2))
  : name === "seconds" ? value.toFixed(value < 10 ? 2 : 1) : String(+value.toPrecision(6));
const short = value => Math.abs(value) >= 1e4 || (value && Math.abs(value) < 0.001)
  ? value.toExponential(0) : String(+value.toPrecision(3));
const tick = (name, value) => percent(name) ? +(100 * value).toFixed(2) + "%" : short(value);
const cut = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;

document.title = byId("title").textContent = data.title;
byId("about").textContent = [data.name, data.data, plural(jobs.length, "job"), `${done.length} finished`, `ranked by ${monitor}`]
  .filter(Boolean).join("; ") + ". Test data not used for ranking.";
const tested = data.tested.replaceAll("_", " ").replace(/^./, first => first.toUpperCase());
byId("winner").textContent = data.winners.filter(best => best[data.tested] != null).map(best =>
  `${tested} of the best${best.data ? " on " + best.data : ""}: ${shown(data.tested, best[data.tested])}`
  + (best.n > 1 ? ` (mean of ${best.n})` : "")).join("; ");
byId("command").textContent = data.command;
byId("command").hidden = !data.command;

function element(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

// Each point of the ranking has a colour of its own, as far as they go (Okabe and Ito 2008); the others share grey.
const colours = ["#009e73", "#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9", "#9a8a00", "#7a5195"];
const groups = [...new Set(jobs.map(job => job.group))].filter(group => group != null);
const colourOf = job => job.group != null && job.group < colours.length ? colours[job.group] : "var(--other)";
const labelOf = job => varied.length > 3 ? job.name : varied.filter(key => key in job.values).map(key => `${key} ${job.values[key]}`).join(", ") || job.name;

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
  if (node.tagName !== "TR") node.style.setProperty("--colour", colourOf(jobs[indices[0]]));
  if (node.tagName !== "TR" && jobs[indices[0]].state !== "finished") node.classList.add("stopped");
  for (const event of ["click", "mouseenter", "focus"])
    node.addEventListener(event, () => choose(indices, node));
  if (node.tagName !== "TR") element("title", {}, node, jobs[indices[0]].name);
}

// Tables. A column has a name, the value to sort a row by, and the text that is shown.
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
      if (column.link) {
        if (column.of(row)) Object.assign(cell.appendChild(document.createElement("a")), {href: column.of(row), textContent: "report"});
        continue;
      }
      cell.textContent = column.interval ? row.interval ? row.interval.map(end => shown(monitor, end)).join(" to ") : "–"
        : column.show ? column.show(column.of(row)) : column.of(row) ?? "";
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
const titles = {epochs_done: keys.includes("epochs") ? "epochs done" : "epochs"};
const figure = name => ({name: titles[name] ?? name, number: true, of: row => row.figures[name],
  show: value => shown(name, value)});
const reports = jobs.some(job => job.report) ? [{name: "report", link: true, of: job => job.report}] : [];
const dataSets = jobs.some(job => job.data) ? [{name: "data set", of: row => row.data}] : [];
const valueOf = key => ({name: key, of: row => row.values[key]});
const rank = {name: "rank", of: row => row.rank};
table(byId("jobs"),
  [{...rank}, {name: "job", of: job => job.name}, ...dataSets, ...keys.map(valueOf), {name: "state", of: job => job.state},
   ...figures.map(figure), ...reports],
  jobs.map(job => ({...job, indices: [job.index]})));
if (points.length) {
  byId("ranking").hidden = false;
  table(byId("points"),
    [{...rank}, ...dataSets, ...varied.filter(key => points.some(point => key in point.values)).map(valueOf), figure(monitor),
     {name: "95% interval", number: true, of: point => point.interval && point.interval[0],
      interval: true},
     {name: "std", number: true, of: point => point.std, show: value => shown(monitor, value)},
     {name: "n", number: true, of: point => point.repeats},
     {name: "p vs. best", of: point => point.verdict},
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
  return {svg, box: {left: 72, right: width - 12, top: 10, bottom: height - 38}};
}
function scale(values, from, to, straight = false, log = false) {
  let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
  const bent = low > 0 && high > low && (log || (!straight && high / low >= 100)) ? Math.log10 : value => value;
  if (low === high) [low, high] = [low - (Math.abs(low) || 1) * .05, high + (Math.abs(high) || 1) * .05];
  const place = value => from + (bent(value) - bent(low)) / (bent(high) - bent(low)) * (to - from);
  return {low, high, place, logarithmic: bent === Math.log10};
}
function steps({low, high, logarithmic}, whole = false, number = 6) {
  if (logarithmic) {
    const decades = [];
    const stride = Math.max(1, Math.round(Math.log10(high / low) / number));
    for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * 1.000001; power += stride) decades.push(10 ** power);
    if (decades.length > 1) return decades;
    return [1, 2, 3, 5].flatMap(n => [-1, 0, 1].map(power => n * 10 ** (Math.floor(Math.log10(high)) + power)))
      .filter(value => value >= low * .999999 && value <= high * 1.000001).sort((a, b) => a - b);
  }
  const rough = (high - low) / number, power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(whole ? 1 : 0, [1, 2, 5, 10].map(n => n * power).find(n => n >= rough * .999));
  const found = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(n * step);
  return found;
}
function frame(svg, box, x, y, nameX, whole, nameY = monitor) {
  for (const value of steps(y)) {
    element("line", {x1: box.left, x2: box.right, y1: y.place(value), y2: y.place(value), class: "axis"}, svg);
    element("text", {x: box.left - 6, y: y.place(value) + 4, "text-anchor": "end"}, svg, tick(nameY, value));
  }
  const middle = (box.top + box.bottom) / 2;
  element("text", {x: 10, y: middle, "text-anchor": "middle", transform: `rotate(-90 10 ${middle})`}, svg, nameY);
  for (const value of steps(x, whole))
    element("text", {x: x.place(value), y: box.bottom + 16, "text-anchor": "middle"}, svg, short(value));
  element("text", {x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle"}, svg, nameX);
}
function nothing({svg}, text) { element("text", {x: 20, y: 40}, svg, text); }
const line = places => ({points: places.map(place => place.join(",")).join(" "), class: "job"});
// The best are drawn last, above the others.
const backToFront = some => [...some].sort((a, b) => (a.rank === 1) - (b.rank === 1));

// The monitored figure first, then the other one.
const curved = [monitor, ...figures.filter(name => name in data.scores && name !== monitor)].slice(0, 2);
function drawCurves(id, name) {
  const {svg, box} = canvas(id), some = jobs.filter(job => (job.curves[name] ?? []).some(value => value != null));
  byId(`${id}-title`).textContent = `Learning curves: ${name}`;
  if (!some.length) return nothing({svg}, "no epoch was validated");
  const x = scale([1, ...some.map(job => job.curves[name].length)], box.left + 6, box.right - 6, true);
  const y = scale(some.flatMap(job => job.curves[name].filter(value => value != null)), box.bottom, box.top, percent(name));
  frame(svg, box, x, y, "epoch", true, name);
  for (const job of backToFront(some)) {
    const places = job.curves[name].map((value, index) => value == null ? null : [x.place(index + 1), y.place(value)]).filter(Boolean);
    choosable(places.length > 1 ? element("polyline", line(places), svg)
      : element("circle", {cx: places[0][0], cy: places[0][1], r: 4, class: "job"}, svg), [job.index]);
  }
}
function drawLegend() {
  const place = byId("legend");
  place.replaceChildren();
  for (const group of groups.filter(group => group < colours.length)) {
    const members = jobs.filter(job => job.group === group), item = document.createElement("button");
    item.type = "button";
    item.style.setProperty("--colour", colours[group]);
    item.textContent = cut(labelOf(members[0]), 60);
    item.addEventListener("click", () => choose(members.map(job => job.index), item));
    place.append(item);
  }
  const others = jobs.filter(job => job.group == null || job.group >= colours.length);
  if (others.length) place.append(Object.assign(document.createElement("span"),
    {textContent: `grey: ${plural(others.length, "other job")}; dashed: not finished`}));
}
function drawDots(svg, box, x, xOf, nameX, some) {
  const y = scale(some.map(job => job.result), box.bottom - 8, box.top + 8, percent(monitor));
  frame(svg, box, x, y, nameX);
  for (const job of backToFront(some))
    choosable(element("circle", {cx: x.place(xOf(job)), cy: y.place(job.result), r: 5, class: "job"}, svg), [job.index]);
}
function drawTimes() {
  const {svg, box} = canvas("times"), seconds = job => job.figures.seconds;
  if (!done.length) return nothing({svg}, "no job is finished");
  drawDots(svg, box, scale(done.map(seconds), box.left + 10, box.right - 10), seconds, "seconds of training", done);
}
function drawScatter() {
  const place = byId("scatter");
  place.replaceChildren();
  for (const key of data.scattered) {
    const some = seen.filter(job => key in job.values);
    if (!some.length) continue;
    const section = place.appendChild(document.createElement("section")), number = job => Number(job.values[key]);
    section.appendChild(document.createElement("h2")).textContent = `Result against ${key}`;
    const node = element("svg", {id: `scatter-${key}`, role: "img", "aria-label": `The result of each job against ${key}`}, section);
    const {svg, box} = canvas(node.id);
    drawDots(svg, box, scale(some.map(number), box.left + 10, box.right - 10, true, data.log.includes(key)), number, key, some);
  }
}

// Values of a hyperparameter: numbers lie on a scale, words stand in order.
function axis(key, from, to) {
  const texts = [...new Set(seen.map(job => job.values[key] ?? "–"))].sort(ordered);
  if (!texts.some(text => text.trim() === "" || Number.isNaN(Number(text)))) {
    const {place} = scale(texts.map(Number), from, to, true, data.log.includes(key));
    return {key, texts, place: text => place(Number(text))};
  }
  const gap = (to - from) / Math.max(1, texts.length - 1);
  return {key, texts, place: text => texts.length > 1 ? from + texts.indexOf(text) * gap : (from + to) / 2};
}
function drawParallel() {
  const {svg, box} = canvas("parallel", varied.length * 84 + 110);
  if (!seen.length || !varied.length) return nothing({svg}, "nothing varies, or no job was validated");
  const top = 44, bottom = height - 16, axes = varied.map(key => axis(key, bottom, top));
  const result = scale(seen.map(job => job.result), bottom, top, percent(monitor));
  const start = 14 + 6.2 * Math.min(12, Math.max(...axes[0].texts.map(text => text.length), axes[0].key.length / 2));
  const at = index => start + index * ((box.right - 48 - start) / axes.length);
  const upright = index => element("line", {x1: at(index), x2: at(index), y1: top, y2: bottom, class: "axis"}, svg);
  for (let index = 0; index <= axes.length; index++) upright(index);
  for (const job of backToFront(seen)) {
    const places = axes.map(({key, place}, index) => [at(index), place(job.values[key] ?? "–")]);
    places.push([at(axes.length), result.place(job.result)]);
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
    const x = scale(groups.flatMap(({mean, interval}) => [mean, ...interval ?? []]), left, width - 24, true);
    element("text", {x: 4, y: 14, "font-weight": "bold"}, svg, key);
    for (const value of steps(x, false, width < 420 ? 4 : 6)) {
      element("line", {x1: x.place(value), x2: x.place(value), y1: 20, y2: tall - 18, class: "axis"}, svg);
      element("text", {x: x.place(value), y: tall - 4, "text-anchor": "middle"}, svg, tick(monitor, value));
    }
    for (const [index, {text, mean, interval, n}] of groups.entries()) {
      const y = 32 + index * 20;
      const label = element("text", {x: left - 10, y: y + 4, "text-anchor": "end"}, svg, `${cut(text, 22)} (${n})`);
      element("title", {}, label, text);
      if (interval)
        element("line", {x1: x.place(interval[0]), x2: x.place(interval[1]), y1: y, y2: y, class: "mean"}, svg);
      element("circle", {cx: x.place(mean), cy: y, r: 4, class: "mean"}, svg);
    }
  }
  byId("effects-section").hidden = !data.effects.length;
}

function draw() {
  drawCurves("curves", curved[0]); drawCurves("curves-other", curved[1]); drawLegend(); drawTimes(); drawScatter();
  drawParallel(); drawEffects();
  mark();
}
let drawn = innerWidth;
addEventListener("resize", () => { if (drawn !== innerWidth) { drawn = innerWidth; draw(); } });
draw();
