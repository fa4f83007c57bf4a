"use strict";
// The network: its file and what runs it, out of the page or from the server that gave the page.

const known = () => JSON.parse(document.getElementById("data").textContent);

/** Return bytes that are written as base64. */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
}

/** Return the bytes of a large part, which are compressed in the page or on the server. */
async function part(name) {
  const embedded = document.getElementById(`part-${name}`);
  let packed;
  if (embedded) {
    packed = bytesOf(embedded.textContent);
    embedded.remove();  // which frees as much memory
  } else {
    packed = await (await fetch(name)).arrayBuffer();
  }
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Runs the network, one image at a time. */
class Network {
  /** Load ONNX Runtime Web and the network. A page from a file may fetch nothing and start no workers. */
  static async open(shape) {
    const [runtime, wasm, model] = await Promise.all(["runtime", "wasm", "model"].map(part));
    const address = URL.createObjectURL(new Blob([runtime], {type: "text/javascript"}));
    const ort = await import(address);
    URL.revokeObjectURL(address);
    Object.assign(ort.env.wasm, {wasmBinary: wasm, numThreads: 1, proxy: false});
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(model, {executionProviders: ["wasm"]});
    return new Network(ort, session, shape);
  }

  constructor(ort, session, shape) {
    Object.assign(this, {ort, session, shape, last: Promise.resolve(), asked: new Map()});
  }

  /** Return outputs by their names: {data, dims}. The pixels are bytes, channel by channel. */
  run(pixels, names) {
    const images = new this.ort.Tensor("uint8", pixels, [1, ...this.shape]);
    this.last = this.last.catch(() => {}).then(() => this.session.run({images}, names));
    return this.last;
  }

  /** Return the weights of a name, which are outputs of the network too. */
  async weights(name) {
    if (!this.asked.has(name)) {
      const nothing = new Uint8Array(this.shape.reduce((product, side) => product * side));
      this.asked.set(name, (await this.run(nothing, [name]))[name]);
    }
    return this.asked.get(name);
  }
}
