"use strict";
// The tensors inside the network, drawn as maps: blue below 0, orange above.

const MOST_MAPS = 64;  // of a layer that are drawn
const OPEN = 12;  // layers that are open at first
const ROW = 32;  // values of a vector that stand side by side
const [LEAST_SIDE, MOST_SIDE, ALONE] = [56, 84, 140];  // of a map on the page, in pixels
const WIDEST_STEPS = 640, [STEP_CELL, VALUE_CELL] = [5, 12.5];  // of tensors without maps
const MARK = (1.5).toLocaleString(document.documentElement.lang)[1];  // between ones and tenths

/** Return an element with attributes, text or other elements in it. */
function element(tag, {className = "", ...others} = {}, ...content) {
  const made = Object.assign(document.createElement(tag), {className}, others);
  made.append(...content);
  return made;
}

/** Return a text of the page with values in its places: {name}. */
function say(name, values = {}) {
  return TEXTS[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Return a number with as many digits as tell it from others of that size. */
function short(value, largest = Math.abs(value)) {
  const written = text => text.replaceAll("-", "−").replace(".", MARK);
  if (largest >= 1e5 || (largest > 0 && largest < 0.001)) return written(value.toExponential(1));
  const digits = [100, 10, 0.1, 0.01].findIndex(bound => largest >= bound);
  const text = value.toFixed(largest ? (digits + 5) % 5 : 2);
  return written(Number(text) ? text : text.replace("-", ""));
}

/** The colours of numbers from −1 to 1, in the theme of the page. */
class Scale {
  constructor() {
    const style = getComputedStyle(document.documentElement);
    const [zero, above, below] = ["--panel", "--mark", "--curve"].map(name => {
      const digits = style.getPropertyValue(name).trim().slice(1);
      const pairs = digits.length === 3 ? [...digits].map(digit => digit + digit) : digits.match(/../g);
      return pairs.map(pair => parseInt(pair, 16));
    });
    this.colors = Array.from({length: 511}, (_, place) => {
      const share = Math.abs(place - 255) / 255, end = place < 255 ? below : above;
      return zero.map((part, i) => Math.round(part + share * (end[i] - part)));
    });
  }

  of(value, largest) {
    const share = Math.max(-1, Math.min(1, value / largest || 0));
    return this.colors[255 + Math.round(255 * share)];
  }

  css(value, largest) {
    return `rgb(${this.of(value, largest)})`;
  }

  /** Draw values, from a place on, as pixels of a canvas; where they end it stays empty. */
  draw(canvas, values, start, end, largest) {
    const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
    for (let i = start, to = 0; i < end; i++, to += 4) {
      const color = this.of(values[i], largest);
      image.data[to] = color[0];
      image.data[to + 1] = color[1];
      image.data[to + 2] = color[2];
      image.data[to + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }
}

/** Return the largest size of a value, above 0. */
function largestOf(values) {
  let largest = 1e-6;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  return largest;
}

/** Return how a tensor is drawn: maps of a height and a width. */
function arranged(shape) {
  if (shape.length === 3) return {maps: shape[0], height: shape[1], width: shape[2]};
  if (shape.length === 2) return {maps: 1, height: shape[0], width: shape[1]};
  const width = Math.min(ROW, shape[0]);
  return {maps: 1, height: Math.ceil(shape[0] / width), width};
}

/** A tensor on the page. `chosen` is called with a place in it, as a number, when one clicks there. */
class Layer {
  constructor(tap, place, chosen) {
    Object.assign(this, {tap, place, chosen, ...arranged(tap.shape)});
    this.size = tap.shape.reduce((product, side) => product * side, 1);
    this.shown = Math.min(MOST_MAPS, this.maps);
    this.legend = element("p");
    this.canvases = Array.from({length: this.shown}, (_, map) => this.canvas(map));
    const maps = element("div", {className: "maps"}, ...this.canvases.map(canvas => canvas.parentNode));
    const summary = element("summary", {}, element("b", {}, this.title), " ", element("small", {}, this.facts()));
    this.root = element("details", {className: "layer", open: place < OPEN}, summary, maps, this.legend);
  }

  get title() {
    const {name, kind} = this.tap;
    return kind === "input" ? say("input") : kind ? name || kind : say("between", {name});
  }

  /** Return in words what the tensor is. */
  facts() {
    const {kind, shape} = this.tap, {maps, height, width} = this;
    const words = kind && kind !== "input" && this.tap.name ? [kind] : [];
    if (shape.length === 1) words.push(say("values", {count: shape[0]}));
    else if (shape.length === 2) words.push(say("steps", {steps: height, values: width}));
    else words.push(say(maps === 1 ? "one_map" : "maps", {count: maps, height, width}));
    if (this.shown < maps) words.push(say("some_of", {shown: this.shown, total: maps}));
    return words.join(" · ");
  }

  canvas(map) {
    const {height, width, maps} = this, canvas = element("canvas", {width, height, tabIndex: map ? -1 : 0});
    const box = element("div", {className: maps > 1 ? "map one-of-many" : "map"}, canvas);
    box.style.width = `${this.widthOnPage()}px`;
    box.style.aspectRatio = `${width} / ${height}`;
    canvas.addEventListener("click", event => {
      const seen = canvas.getBoundingClientRect();
      const row = Math.floor((event.clientY - seen.top) / seen.height * height);
      const column = Math.floor((event.clientX - seen.left) / seen.width * width);
      this.choose(map, row, column);
    });
    canvas.addEventListener("keydown", event => {
      if (event.key === "Enter") this.choose(map, height >> 1, width >> 1);
    });
    return canvas;
  }

  /** Return how wide a map is on the page, in pixels. */
  widthOnPage() {
    const {height, width, maps} = this, longest = Math.max(height, width);
    if (this.tap.shape.length === 1) return VALUE_CELL * ROW * Math.min(1, 2.5 * width / ROW);
    if (this.tap.shape.length === 2) return Math.min(WIDEST_STEPS, STEP_CELL * width);
    const side = maps === 1 ? ALONE : Math.max(LEAST_SIDE, Math.min(MOST_SIDE, 3 * longest));
    return side * width / longest;
  }

  /** Tell which value is chosen, if there is one at that place. */
  choose(map, row, column) {
    const {height, width, maps} = this;
    const isThere = row >= 0 && row < height && column >= 0 && column < width && map >= 0 && map < maps;
    const place = (map * height + row) * width + column;
    if (isThere && place < this.size) this.chosen(this.place, place);
  }

  /** Return map, row and column of a place. */
  where(place) {
    const area = this.height * this.width, rest = place % area;
    return [Math.floor(place / area), Math.floor(rest / this.width), rest % this.width];
  }

  draw(values, scale) {
    this.values = values;
    const area = this.height * this.width, largest = largestOf(values);
    this.canvases.forEach((canvas, map) => {
      scale.draw(canvas, values, map * area, Math.min((map + 1) * area, this.size), largest);
    });
    this.legend.textContent = say("scale", {largest: short(largest)});
  }

  /** Frame a part of a map, in its pixels, also beyond its border; it goes with the next call of `bare`. */
  frame(map, top, left, height, width) {
    const box = this.canvases[map]?.parentNode;
    if (!box) return;
    const frame = element("span", {className: "frame"});
    const parts = {top: top / this.height, left: left / this.width, height: height / this.height,
                   width: width / this.width};
    for (const [side, share] of Object.entries(parts)) frame.style[side] = `${100 * share}%`;
    box.append(frame);
  }

  /** Take all frames away. */
  bare() {
    this.root.querySelectorAll(".frame").forEach(frame => frame.remove());
  }
}
