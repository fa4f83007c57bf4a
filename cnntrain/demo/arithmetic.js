"use strict";
// How one value came about: the window that it was computed from, the kernel, the products and their sum.

const MOST_SUMS = 64;  // maps whose products are written out, the largest sums first
const MOST_PRODUCTS = 12;  // of a linear layer, likewise
const WIDEST = 11;  // side of the windows whose numbers are written out

/** Return the value that stands in a window, or null beyond the border. */
function valueAt(layer, map, row, column) {
  const {height, width, values} = layer;
  const isThere = row >= 0 && row < height && column >= 0 && column < width;
  return isThere ? values[(map * height + row) * width + column] : null;
}

/** Return the rows of a window: where it begins, how many steps it takes and how wide they are. */
function windowOf(layer, map, [top, left], [rows, columns], [down, right]) {
  return Array.from({length: rows}, (_, r) => Array.from({length: columns}, (_, c) =>
    valueAt(layer, map, top + r * down, left + c * right)));
}

/** Return the corner, the size and the steps of the window of a value at a row and a column. */
function extentOf({numbers, shape}, source, row, column) {
  if (!numbers.kernel) {  // of a layer that adapts to the image
    const sides = [[row, shape[1], source.height], [column, shape[2], source.width]];
    const starts = sides.map(([place, to, from]) => Math.floor(place * from / to));
    const sizes = sides.map(([place, to, from], i) => Math.ceil((place + 1) * from / to) - starts[i]);
    return {corner: starts, size: sizes, steps: [1, 1]};
  }
  const {kernel, stride, padding, dilation} = numbers;
  return {corner: [row * stride[0] - padding[0], column * stride[1] - padding[1]], size: kernel, steps: dilation};
}

/** Return a table of numbers with a heading; null is what lies beyond the border. */
function grid(name, rows, scale, largest, taken = () => false) {
  const body = rows.map(row => element("tr", {}, ...row.map(value => {
    const cell = element("td", {}, short(value ?? 0, largest));
    cell.style.background = value === null ? "" : scale.css(0.8 * value, largest);
    cell.classList.toggle("outside", value === null);
    cell.classList.toggle("taken", taken(value));
    return cell;
  })));
  return element("figure", {className: "part"}, element("figcaption", {}, name),
    element("table", {className: "grid"}, ...body));
}

const largestIn = rows => largestOf(rows.flat().map(value => value ?? 0));
const added = numbers => numbers.reduce((sum, number) => sum + number, 0);

/** Return one line: value = sum + bias. */
function totalLine(value, sum, bias) {
  const largest = largestOf([sum, bias, value]);
  const [total, more, whole] = [sum, bias, value].map(number => short(number, largest));
  const line = element("p", {className: "total"},
    `${say("sum")} ${total} + ${say("bias")} ${more} = `, element("b", {}, whole));
  Object.assign(line.dataset, {value, total: sum + bias});
  return line;
}

/** Explain a value of a convolution; `weights` returns a promise of weights by their kind. */
async function explainConvolution(layer, source, place, weights, scale) {
  const [map, row, column] = layer.where(place), {tap} = layer;
  const kernels = await weights("weight"), biases = await weights("bias");
  const [filters, channels, tall, wide] = kernels.dims, area = tall * wide;
  const first = Math.floor(map / (filters / tap.numbers.groups)) * channels;
  const {corner, size, steps} = extentOf(tap, source, row, column);
  const parts = Array.from({length: channels}, (_, channel) => {
    const window = windowOf(source, first + channel, corner, size, steps);
    const start = (map * channels + channel) * area;
    const kernel = window.map((line, r) => line.map((_, c) => kernels.data[start + r * wide + c]));
    const products = window.map((line, r) => line.map((value, c) => (value ?? 0) * kernel[r][c]));
    return {channel: first + channel, window, kernel, products, sum: added(products.flat())};
  });
  const extent = size.map((side, i) => (side - 1) * steps[i] + 1);
  parts.forEach(part => source.frame(part.channel, ...corner, ...extent));
  const sum = added(parts.map(part => part.sum)), bias = biases?.data[map] ?? 0;
  const total = totalLine(layer.values[place], sum, bias);
  return [element("p", {}, say("conv_rule")), total, productsOf(parts, source, scale)];
}

/** Return the products of the maps of a convolution, the largest sums first. */
function productsOf(parts, source, scale) {
  const sorted = [...parts].sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum));
  const [shown, others] = [sorted.slice(0, MOST_SUMS), sorted.slice(MOST_SUMS)];
  const [inputs, weights, products] = ["window", "kernel", "products"].map(name =>
    Math.max(...parts.map(part => largestIn(part[name]))));
  const boxes = shown.map(({channel, window, kernel, products: made, sum}) => {
    const title = source.maps > 1 ? say("map_number", {channel, layer: source.title}) : source.title;
    const grids = window.length > WIDEST ? [] : [
      grid(say("window"), window, scale, inputs), "×", grid(say("kernel"), kernel, scale, weights), "=",
      grid(say("products"), made, scale, products)];
    const row = element("div", {className: "row"}, ...grids, ` ${say("sum")} ${short(sum)}`);
    return element("div", {className: "product"}, element("h3", {}, title), row);
  });
  if (others.length) {
    const rest = added(others.map(part => part.sum));
    boxes.push(element("p", {}, `${say("other_maps", {count: others.length})}: ${short(rest)}`));
  }
  return element("div", {className: "sums"}, ...boxes);
}

/** Explain a value of a pooling layer. */
function explainPooling(layer, source, place, scale) {
  const [map, row, column] = layer.where(place), value = layer.values[place];
  const {corner, size, steps} = extentOf(layer.tap, source, row, column);
  const extent = size.map((side, i) => (side - 1) * steps[i] + 1);
  source.frame(map, ...corner, ...extent);
  const window = windowOf(source, map, corner, size, steps), isMax = layer.tap.numbers.takes === "max";
  const taken = number => isMax && number === value;
  const grids = window.length > WIDEST ? [] : [grid(say("window"), window, scale, largestIn(window), taken), "→"];
  const title = say("map_number", {channel: map, layer: source.title});
  const box = element("div", {className: "product"}, element("h3", {}, title),
    element("div", {className: "row"}, ...grids, element("b", {}, short(value))));
  return [element("p", {}, say(isMax ? "max_rule" : "mean_rule")), box];
}

/** Explain a value of a linear layer. */
async function explainLinear(layer, source, place, weights, scale) {
  const matrix = await weights("weight"), biases = await weights("bias");
  const [outputs, count] = matrix.dims, output = place % outputs, start = Math.floor(place / outputs) * count;
  const inputs = source.values.subarray(start, start + count);
  const row = matrix.data.subarray(output * count, (output + 1) * count);
  const products = Float32Array.from(inputs, (value, i) => value * row[i]);
  const sum = added([...inputs].map((value, i) => value * row[i])), bias = biases?.data[output] ?? 0;
  if (count === source.size) for (let map = 0; map < source.shown; map++) source.frame(map, 0, 0, source.height, source.width);
  else source.frame(0, Math.floor(place / outputs), 0, 1, count);
  const pictures = source.tap.shape.length === 3 && count === source.size
    ? [element("div", {className: "sums"}, ...[["inputs", inputs], ["weights", row], ["products", products]].map(
      ([name, values]) => pictured(say(name), values, source, scale)))] : [];
  return [element("p", {}, say("linear_rule", {count})), totalLine(layer.values[place], sum, bias), ...pictures,
    largestProducts(inputs, row, products)];
}

/** Return values that lie as those of a tensor of maps, drawn: few maps side by side. */
function pictured(name, values, {maps, height, width}, scale) {
  const area = height * width, largest = largestOf(values), shown = Math.min(maps, MOST_MAPS);
  const canvases = Array.from({length: shown}, (_, map) => {
    const canvas = element("canvas", {width, height});
    canvas.style.width = `${maps === 1 ? ALONE : Math.max(28, 2 * width)}px`;
    scale.draw(canvas, values, map * area, (map + 1) * area, largest);
    return canvas;
  });
  const box = element("div", {className: "maps"}, ...canvases);
  return element("figure", {className: "part"}, element("figcaption", {}, name), box);
}

/** Return the largest products of a linear layer, in a list. */
function largestProducts(inputs, row, products) {
  const order = [...products.keys()].sort((one, other) => Math.abs(products[other]) - Math.abs(products[one]));
  const [shown, others] = [order.slice(0, MOST_PRODUCTS), order.slice(MOST_PRODUCTS)];
  const cells = numbers => numbers.map(text => element("td", {}, text));
  const lines = shown.map(i => element("tr", {}, ...cells(
    [`${i}`, short(inputs[i]), "×", short(row[i]), "=", short(products[i])])));
  const head = element("tr", {}, ...cells(["", say("inputs"), "", say("weights"), "", say("products")]));
  const rest = added(others.map(i => products[i]));
  const words = others.length ? [element("p", {},
    `${say("other_products", {count: others.length})}: ${short(rest)}`)] : [];
  return element("div", {className: "scroll"}, element("table", {className: "list"}, head, ...lines), ...words);
}

/** Explain a value that depends on one other. */
function explainAlone(layer, source, place) {
  const [map, row, column] = source.where(place);
  source.frame(map, row, column, 1, 1);
  const words = `${layer.tap.kind}(${short(source.values[place])}) = `;
  return [element("p", {}, say("pointwise_rule")),
    element("p", {className: "total"}, words, element("b", {}, short(layer.values[place])))];
}

/** Return what explains a value of a layer, as elements; the window is framed in the layer that it reads. */
async function explained(layer, source, place, weights, scale) {
  const ways = {
    conv: () => explainConvolution(layer, source, place, weights, scale),
    pool: () => explainPooling(layer, source, place, scale),
    linear: () => explainLinear(layer, source, place, weights, scale),
    pointwise: () => explainAlone(layer, source, place),
  };
  const way = source && ways[layer.tap.does];
  if (way) return way();
  return [element("p", {className: "total"}, element("b", {}, short(layer.values[place]))),
    ...(layer.tap.kind === "input" ? [] : [element("p", {}, say("no_rule"))])];
}
