"use strict";
// The page: what one draws goes through the network, and what comes out is shown.

const DATA = known(), TEXTS = DATA.texts;
const SHAPE = DATA.shape, [CHANNELS, HEIGHT, WIDTH] = SHAPE, SIZE = CHANNELS * HEIGHT * WIDTH;
const MOST_BARS = 10, DARK = matchMedia("(prefers-color-scheme: dark)");
const DIGITS = {style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1};
const PERCENT = new Intl.NumberFormat(document.documentElement.lang, DIGITS);
const at = id => document.getElementById(id);

let scale = new Scale(), network = null, chosen = null, running = null, isStale = false;
const pad = new Pad(at("pad"), DATA, changed);
const layers = DATA.taps.map((tap, place) => new Layer(tap, place, choose));

/** What tests and the console may ask: the bytes that the network saw, and what it answered. */
const demo = {seen: null, answer: null, milliseconds: 0, ready: null, settled, run: (bytes, names) =>
  network.run(bytes, names ?? [DATA.output])};

/** Let the network answer; while it does, changes are remembered, and it answers once more. */
function changed() {
  isStale = true;
  running ??= (async () => {
    while (network && isStale) {
      await new Promise(done => setTimeout(done));  // for other events; frames stop in windows that are not seen
      isStale = false;
      await update();
    }
  })().catch(failed).finally(() => { running = null; });
}

/** Return a promise that the page shows what is drawn. */
async function settled() {
  await demo.ready;
  while (running) await running;
}

/** Show the answer to what is drawn, and the tensors of the layers that are open. */
async function update() {
  const start = performance.now();
  demo.seen = pad.bytes();
  show(at("seen"), demo.seen, SHAPE);
  const wanted = layers.filter(layer => layer.root.open || isPartOf(layer.place));
  const names = [DATA.output, ...wanted.map(layer => `tap${layer.place}`)];
  const found = await network.run(demo.seen, names);
  demo.answer = [...found[DATA.output].data];
  answer(found[DATA.output]);
  for (const layer of wanted) layer.draw(found[`tap${layer.place}`].data, scale);
  if (chosen) await explain();
  demo.milliseconds = performance.now() - start;
  at("state").textContent = say("ready", {milliseconds: demo.milliseconds.toFixed(0)});
}

/** Return whether a layer is needed for what is explained. */
function isPartOf(place) {
  return chosen !== null && (place === chosen.place || place === DATA.taps[chosen.place].reads);
}

// ---- the answer

function answer({data, dims}) {
  const ways = {classes: probabilities, masks: shares, boxes: objects};
  at("bars").replaceChildren(...ways[DATA.task](data, dims));
}

/** Return a bar from 0 to 1. */
function bar(name, share, color) {
  const inside = element("i");
  inside.style.width = `${100 * Math.max(0, Math.min(1, share))}%`;
  if (color) inside.style.setProperty("--own", color);
  return element("div", {className: "bar"}, element("span", {title: name}, name), element("b", {}, inside),
    element("small", {}, PERCENT.format(share)));
}

/** Return the likeliest classes as bars; few classes stand in their own order. */
function probabilities(data) {
  const order = [...data.keys()].sort((one, other) => data[other] - data[one]);
  const shown = data.length <= MOST_BARS ? [...data.keys()] : order.slice(0, MOST_BARS);
  return shown.map(label => {
    const line = bar(DATA.class_names[label], data[label]);
    line.classList.toggle("first", label === order[0]);
    return line;
  });
}

/** Draw the likeliest class of each pixel over the image, and return the shares of the classes. */
function shares(data, [, classes, height, width]) {
  const area = height * width, counts = new Float64Array(classes);
  const image = drawable(demo.seen, SHAPE);
  for (let i = 0; i < area; i++) {
    let best = 0;
    for (let label = 1; label < classes; label++) if (data[label * area + i] > data[best * area + i]) best = label;
    counts[best]++;
    const color = DATA.colors[best].match(/\d+/g);
    for (let part = 0; best && part < 3; part++) image.data[4 * i + part] = (image.data[4 * i + part] + +color[part]) / 2;
  }
  at("seen").getContext("2d").putImageData(image, 0, 0);
  const there = [...counts.keys()].sort((one, other) => counts[other] - counts[one]).slice(0, MOST_BARS);
  return there.filter(label => counts[label]).map(label =>
    bar(DATA.class_names[label], counts[label] / area, label ? DATA.colors[label] : ""));
}

/** Draw the boxes on the image, and return the objects with their scores. */
function objects(data, [, most]) {
  const lines = [], canvas = at("seen"), times = Math.max(1, Math.round(288 / WIDTH));
  const small = element("canvas");
  show(small, demo.seen, SHAPE);
  Object.assign(canvas, {width: WIDTH * times, height: HEIGHT * times});
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.lineWidth = 2;
  for (let i = 0; i < most; i++) {
    const [left, top, right, bottom, score, label] = data.slice(6 * i, 6 * i + 6);
    if (label < 0) continue;
    context.strokeStyle = DATA.colors[label];
    context.strokeRect(left * times, top * times, (right - left) * times, (bottom - top) * times);
    if (lines.length < MOST_BARS) lines.push(bar(DATA.class_names[label], score, DATA.colors[label]));
  }
  return lines.length ? lines : [element("p", {}, say("nothing_found"))];
}

// ---- one value

/** Explain the value at a place of a layer. */
function choose(place, value) {
  chosen = {place, value};
  at("sheet").hidden = false;
  document.body.classList.add("explaining");
  changed();
}

async function explain() {
  const {place, value} = chosen, layer = layers[place], source = layers[layer.tap.reads];
  layers.forEach(each => each.bare());
  const [map, row, column] = layer.where(value), length = layer.tap.shape.length;
  layer.frame(map, row, column, 1, 1);
  const form = ["", "value_of_vector", "value_of_step", "value_of_map"][length];
  const values = {layer: layer.title, channel: map, place: value, row, column};
  at("sheet-title").textContent = say(form, values);
  const weights = async kind => layer.tap.weights[kind] && network.weights(layer.tap.weights[kind]);
  at("sheet-content").replaceChildren(...await explained(layer, source, value, weights, scale));
}

function close() {
  chosen = null;
  at("sheet").hidden = true;
  document.body.classList.remove("explaining");
  layers.forEach(layer => layer.bare());
}

/** Go to a neighbour of the chosen value, or close. */
function keyed(event) {
  if (!chosen) return;
  const steps = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
  if (event.key === "Escape") close();
  if (!steps) return;
  event.preventDefault();
  const layer = layers[chosen.place], [map, row, column] = layer.where(chosen.value);
  layer.choose(map, row + steps[0], column + steps[1]);
}

// ---- images

/** Put the image of a file on the pad. */
async function open(file) {
  at("notice").hidden = true;
  let picture;
  try {
    picture = await decoded(file, CHANNELS);
  } catch {
    at("notice").textContent = say("not_an_image", {name: file.name});
    at("notice").hidden = false;
    return;
  }
  const isOfSize = picture.height === HEIGHT && picture.width === WIDTH;
  if (DATA.box && !isOfSize) picture = asDigit(picture, HEIGHT, DATA.box);
  else if (!isOfSize) picture = middle(fitted(picture, DATA.resize_size, DATA.resize), HEIGHT, WIDTH);
  pad.clear(asBytes(picture));
}

/** Show the test images. */
function gallery() {
  const images = bytesOf(DATA.images);
  DATA.labels.forEach((name, place) => {
    const bytes = images.slice(place * SIZE, (place + 1) * SIZE), canvas = element("canvas");
    show(canvas, bytes, SHAPE);
    const title = say("test_image", {name: name || `${place + 1}`});
    const button = element("button", {title}, canvas);
    button.setAttribute("aria-label", title);
    button.addEventListener("click", () => pad.clear(bytes));
    at("images").append(button);
  });
  at("gallery").hidden = !DATA.labels.length;
  if (DATA.labels.length) pad.example(images.slice(0, SIZE));
}

/** React to buttons, files and keys. */
function listen() {
  at("undo").addEventListener("click", () => pad.undo());
  at("clear").addEventListener("click", () => pad.clear());
  at("open").addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", event => {
    if (event.target.files[0]) open(event.target.files[0]);
    event.target.value = "";  // so that the same file can be opened again
  });
  at("color")?.addEventListener("input", event => {
    pad.color = event.target.value.match(/\w\w/g).map(pair => parseInt(pair, 16));
  });
  at("close").addEventListener("click", close);
  document.addEventListener("keydown", keyed);
  document.addEventListener("dragover", event => {
    event.preventDefault();
    at("pad").classList.add("dropping");
  });
  document.addEventListener("dragleave", () => at("pad").classList.remove("dropping"));
  document.addEventListener("drop", event => {
    event.preventDefault();
    at("pad").classList.remove("dropping");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  addEventListener("resize", () => pad.draw());
  DARK.addEventListener("change", () => {
    scale = new Scale();
    changed();
  });
}

function failed(error) {
  at("state").textContent = say("failed", {reason: error.message ?? error});
  at("state").className = "notice";
}

at("how").textContent = DATA.box
  ? say("seen_centred", {side: DATA.box}) : say("seen_sized", {width: WIDTH, height: HEIGHT});
gallery();
listen();
layers.forEach(layer => {
  at("layers").append(layer.root);
  layer.root.addEventListener("toggle", changed);
});
if (!layers.length) at("layers").append(element("p", {}, say("no_layers")));
demo.ready = Network.open(SHAPE).then(opened => {
  network = opened;
  changed();
}).catch(failed);
