"use strict";
// Images as planes of numbers from 0 to 255, one a channel: {planes, height, width}.

const STRONGEST = 0.2;  // the share of the brightest ink below which a pixel of a photographed digit is paper

/** Return the picture in a file, upright, what is transparent on white. */
async function decoded(file, channels, longest = 2048) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = Object.assign(document.createElement("canvas"), {width, height});
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const colours = context.getImageData(0, 0, width, height).data;
  const planes = Array.from({length: channels}, () => new Float32Array(width * height));
  for (let i = 0; i < width * height; i++) {
    const [red, green, blue] = colours.subarray(4 * i, 4 * i + 3);
    if (channels === 1) planes[0][i] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
    else [red, green, blue].forEach((value, channel) => { planes[channel][i] = value; });
  }
  return {planes, height, width};
}

/** Return for each place of a scaled line the first place it is made of, and the weights from there on:
    triangles as wide as the places lie apart, which is bilinear and without aliasing, as Pillow does it. */
function triangles(from, to) {
  const scale = from / to, reach = Math.max(1, scale);
  return Array.from({length: to}, (_, place) => {
    const middle = (place + 0.5) * scale;
    const first = Math.max(0, Math.round(middle - reach));
    const last = Math.min(from, Math.round(middle + reach));
    const weights = [];
    for (let i = first; i < last; i++) weights.push(Math.max(0, 1 - Math.abs(i + 0.5 - middle) / reach));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return {first, weights: weights.map(weight => weight / total)};
  });
}

/** Return a picture scaled to a height and a width. */
function scaled(picture, height, width) {
  if (picture.height === height && picture.width === width) return picture;
  const columns = triangles(picture.width, width), rows = triangles(picture.height, height);
  const planes = picture.planes.map(plane => {
    const narrow = new Float32Array(picture.height * width);
    for (let y = 0; y < picture.height; y++) {
      columns.forEach(({first, weights}, x) => {
        let sum = 0;
        weights.forEach((weight, i) => { sum += weight * plane[y * picture.width + first + i]; });
        narrow[y * width + x] = Math.round(sum);
      });
    }
    const result = new Float32Array(height * width);
    rows.forEach(({first, weights}, y) => {
      for (let x = 0; x < width; x++) {
        let sum = 0;
        weights.forEach((weight, i) => { sum += weight * narrow[(first + i) * width + x]; });
        result[y * width + x] = Math.round(sum);
      }
    });
    return result;
  });
  return {planes, height, width};
}

/** Return a part of a picture; what lies beyond its border is black. */
function cut(picture, top, left, height, width) {
  const planes = picture.planes.map(plane => {
    const result = new Float32Array(height * width);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [row, column] = [top + y, left + x];
        const isThere = row >= 0 && row < picture.height && column >= 0 && column < picture.width;
        if (isThere) result[y * width + x] = plane[row * picture.width + column];
      }
    }
    return result;
  });
  return {planes, height, width};
}

/** Return a picture as the run's preprocessing scales it: crop, pad or squash. */
function fitted(picture, [height, width], resize) {
  const {height: tall, width: wide} = picture;
  if (resize === "squash" || tall * width === wide * height) return scaled(picture, height, width);
  if (resize === "crop") {
    const scale = Math.min(tall / height, wide / width);
    const [rows, columns] = [height, width].map(side => Math.max(1, Math.round(side * scale)));
    const top = Math.floor((tall - rows) / 2), left = Math.floor((wide - columns) / 2);
    return scaled(cut(picture, top, left, rows, columns), height, width);
  }
  const scale = Math.min(height / tall, width / wide);
  const small = scaled(picture, ...[tall, wide].map(side => Math.max(1, Math.round(side * scale))));
  return middle(small, height, width);
}

/** Return the middle of a picture, or the picture in the middle of black. */
function middle(picture, height, width) {
  const top = Math.trunc((picture.height - height) / 2), left = Math.trunc((picture.width - width) / 2);
  return cut(picture, top, left, height, width);
}

/** Return a dark or light sign on paper as a digit of MNIST: light on black, in its box, centred by mass. */
function asDigit(picture, side, box) {
  let [ink] = picture.planes;
  const {height, width} = picture;
  const border = [];
  for (let x = 0; x < width; x++) border.push(ink[x], ink[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) border.push(ink[y * width], ink[y * width + width - 1]);
  const paper = border.sort((a, b) => a - b)[border.length >> 1];
  ink = ink.map(value => paper > 127 ? Math.max(0, paper - value) : Math.max(0, value - paper));
  const strongest = ink.reduce((most, value) => Math.max(most, value), 1);
  ink = ink.map(value => value < STRONGEST * strongest ? 0 : value * 255 / strongest);
  let [top, left, bottom, right] = [height, width, 0, 0];
  ink.forEach((value, i) => {
    if (!value) return;
    const y = Math.floor(i / width), x = i % width;
    [top, left] = [Math.min(top, y), Math.min(left, x)];
    [bottom, right] = [Math.max(bottom, y + 1), Math.max(right, x + 1)];
  });
  if (bottom <= top) return middle({planes: [new Float32Array(1)], height: 1, width: 1}, side, side);
  const sign = cut({planes: [ink], height, width}, top, left, bottom - top, right - left);
  const scale = box / Math.max(sign.height, sign.width);
  const size = [sign.height, sign.width].map(length => Math.max(1, Math.round(length * scale)));
  const small = scaled(sign, ...size);
  const [y, x] = centreOfMass(small.planes[0], small.height, small.width);
  return cut(small, Math.round(y - side / 2), Math.round(x - side / 2), side, side);
}

/** Return where the middle of the ink is, row and column, in pixels from the corner. */
function centreOfMass(plane, height, width) {
  let [mass, rows, columns] = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = plane[y * width + x];
      mass += value;
      rows += value * (y + 0.5);
      columns += value * (x + 0.5);
    }
  }
  return mass ? [rows / mass, columns / mass] : [height / 2, width / 2];
}

/** Return the planes of a picture as bytes, one after the other. */
function asBytes(picture) {
  const area = picture.height * picture.width;
  const bytes = new Uint8Array(picture.planes.length * area);
  picture.planes.forEach((plane, channel) => bytes.set(plane.map(Math.round), channel * area));
  return bytes;
}

/** Return bytes, plane after plane, as the pixels of a canvas. */
function drawable(bytes, [channels, height, width]) {
  const image = new ImageData(width, height), area = width * height;
  for (let i = 0; i < area; i++) {
    for (let colour = 0; colour < 3; colour++) {
      image.data[4 * i + colour] = bytes[(channels === 1 ? 0 : colour) * area + i];
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}

/** Draw them on a canvas, which becomes as large as the image. */
function show(canvas, bytes, shape) {
  Object.assign(canvas, {width: shape[2], height: shape[1]});
  canvas.getContext("2d").putImageData(drawable(bytes, shape), 0, 0);
}
