"use strict";
// The drawing pad: lines of a mouse, a finger or a pen, over nothing or over an image, and what they become.

const PEN = 2.4 / 28;  // the width of a line as a share of the image's height, as that of MNIST's digits is
const FINE = 224;  // pixels that lines are drawn with before they are scaled down to the network's
const MOST_ENLARGED = 4;  // times that a small drawing is enlarged to fill the box

/** Return how much of each pixel lines cover, from 0 to 1. Points are in pixels: [x, y]. */
function covered(lines, height, width, pen) {
  const times = Math.max(1, Math.round(FINE / Math.max(height, width)));
  const canvas = covered.canvas ??= document.createElement("canvas");
  Object.assign(canvas, {width: width * times, height: height * times});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.scale(times, times);
  stroke(context, lines, pen, () => "#fff");
  const fine = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const cover = new Float32Array(height * width);
  for (let y = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++) {
      const place = Math.floor(y / times) * width + Math.floor(x / times);
      cover[place] += fine[4 * (y * canvas.width + x) + 3] / (255 * times * times);
    }
  }
  return cover;
}

/** Draw lines with round ends; a line of one point is a dot. */
function stroke(context, lines, pen, colorOf) {
  Object.assign(context, {lineWidth: pen, lineCap: "round", lineJoin: "round"});
  for (const line of lines) {
    context.strokeStyle = colorOf(line);
    context.beginPath();
    context.moveTo(...line.points[0]);
    for (const [x, y] of line.points) context.lineTo(x + 0.001, y);
    context.stroke();
  }
}

/** Return lines as a digit of MNIST is: scaled to a box, with a pen of that width, and centred by mass. */
function centred(lines, side, box) {
  const pen = PEN * side, points = lines.flatMap(line => line.points);
  const ends = [0, 1].map(axis => points.map(point => point[axis]));
  const [left, top] = ends.map(values => Math.min(...values));
  const extent = Math.max(...ends.map(values => Math.max(...values) - Math.min(...values)));
  const scale = Math.min(MOST_ENLARGED, (box - pen) / Math.max(extent, 1e-6));
  const moved = (dx, dy) => lines.map(line => (
    {...line, points: line.points.map(([x, y]) => [(x - left) * scale + dx, (y - top) * scale + dy])}
  ));
  const start = (side - box + pen) / 2;
  const [y, x] = centreOfMass(covered(moved(start, start), side, side, pen), side, side);
  return covered(moved(start + side / 2 - x, start + side / 2 - y), side, side, pen);
}

/** The pad. It calls `changed` after each change. */
class Pad {
  constructor(canvas, {shape, box}, changed) {
    Object.assign(this, {canvas, shape, box, changed, lines: [], under: null, color: [255, 255, 255]});
    this.isExample = false;
    canvas.addEventListener("pointerdown", event => this.begin(event));
    canvas.addEventListener("pointermove", event => this.go(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { this.line = null; });
    this.draw();
  }

  /** Return where a pointer is, in pixels of the network's image. */
  place(event) {
    const [, height, width] = this.shape, seen = this.canvas.getBoundingClientRect();
    return [(event.clientX - seen.left) / seen.width * width, (event.clientY - seen.top) / seen.height * height];
  }

  begin(event) {
    if (event.button > 0) return;
    event.preventDefault();
    if (this.isExample) this.clear();
    this.canvas.setPointerCapture(event.pointerId);
    this.line = {points: [this.place(event)], color: this.color, pointer: event.pointerId};
    this.lines.push(this.line);
    this.update();
  }

  go(event) {
    if (this.line?.pointer !== event.pointerId) return;
    const between = event.getCoalescedEvents?.() ?? [];
    for (const one of between.length ? between : [event]) this.line.points.push(this.place(one));
    this.update();
  }

  update() {
    this.draw();
    this.changed();
  }

  /** Take away the last line, or the image if there is none. */
  undo() {
    if (!this.lines.pop()) this.under = null;
    this.update();
  }

  /** Begin anew, on an image of the network's size, as bytes, or on nothing. */
  clear(under = null) {
    Object.assign(this, {under, lines: [], line: null, isExample: false});
    this.update();
  }

  /** Show an image, as bytes, until the first line is drawn. */
  example(under) {
    this.clear(under);
    this.isExample = true;
  }

  draw() {
    const [, height, width] = this.shape, context = this.canvas.getContext("2d");
    this.resize();
    if (this.under) {
      const small = document.createElement("canvas");
      show(small, this.under, this.shape);
      context.imageSmoothingEnabled = false;
      context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    }
    context.scale(this.canvas.width / width, this.canvas.height / height);
    stroke(context, this.lines, PEN * height, line => `rgb(${line.color})`);
  }

  /** Give the canvas as many pixels as the screen shows of it, which empties it. */
  resize() {
    const [, height, width] = this.shape;
    this.canvas.width = Math.round((this.canvas.clientWidth || 304) * Math.min(2, devicePixelRatio));
    this.canvas.height = Math.round(this.canvas.width * height / width);
  }

  /** Return what the network gets: bytes, channel by channel. */
  bytes() {
    const [channels, height, width] = this.shape, area = height * width;
    const bytes = new Uint8ClampedArray(this.under ?? channels * area);
    if (this.box && !this.under) {
      if (this.lines.length) centred(this.lines, height, this.box).forEach((part, i) => { bytes[i] = 255 * part; });
      return new Uint8Array(bytes);
    }
    for (const line of this.lines) {
      covered([line], height, width, PEN * height).forEach((part, i) => {
        for (let channel = 0; part && channel < channels; channel++) {
          const place = channel * area + i;
          bytes[place] = bytes[place] * (1 - part) + line.color[channel] * part;
        }
      });
    }
    return new Uint8Array(bytes);
  }
}
