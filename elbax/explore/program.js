"use strict";
// Runs programs (elbax/program/steps.py): flat Float32Arrays in, flat arrays out.

const UNARY = {
  abs: Math.abs, ceil: Math.ceil, cos: Math.cos, exp: Math.exp, expm1: Math.expm1,
  floor: Math.floor, is_finite: (x) => +Number.isFinite(x), log: Math.log, log1p: Math.log1p,
  logistic: (x) => 1 / (1 + Math.exp(-x)), neg: (x) => -x, not: (x) => +!x,
  round: (x) => { const r = Math.round(x); return Math.abs(x % 1) === 0.5 && r % 2 ? r - 1 : r; },
  rsqrt: (x) => 1 / Math.sqrt(x), sign: Math.sign, sin: Math.sin, sqrt: Math.sqrt,
  square: (x) => x * x, tanh: Math.tanh, trunc: Math.trunc, erf, erfc: (x) => 1 - erf(x), lgamma,
};
const BINARY = {
  add: (a, b) => a + b, add_any: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b,
  div: (a, b) => a / b, pow: Math.pow, atan2: Math.atan2,
  // NaN is passed on, as by XLA.
  max: (a, b) => (a > b || Number.isNaN(a) ? a : b), min: (a, b) => (a < b || Number.isNaN(a) ? a : b),
  eq: (a, b) => +(a === b), ne: (a, b) => +(a !== b), lt: (a, b) => +(a < b),
  gt: (a, b) => +(a > b), le: (a, b) => +(a <= b), ge: (a, b) => +(a >= b),
  and: (a, b) => +(a && b ? 1 : 0), or: (a, b) => +(a || b ? 1 : 0),
};

// Abramowitz and Stegun 7.1.26 has 1.5e-7; this is the series and the continued fraction.
function erf(x) {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  let sum = 0;
  if (a < 2.5) {
    let term = a;
    for (let n = 0; n < 60; n++) { sum += term / (2 * n + 1); term *= -a * a / (n + 1); }
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (a + fraction);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + fraction));
}

// Stirling's series from 10 on, and below it the recurrence.
function lgamma(x) {
  if (!(x > 0)) return x === 0 ? Infinity : NaN;
  if (x === Infinity) return x;
  let factors = 1;
  for (; x < 10; x++) factors *= x;
  const square = 1 / (x * x);
  const series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - Math.log(factors);
}

function matmul(a, b, { b: batch, m, k, n }) {
  const out = new Float32Array(batch * m * n);
  for (let i = 0; i < batch; i++) {
    for (let r = 0; r < m; r++) {
      const row = out.subarray((i * m + r) * n, (i * m + r + 1) * n);
      for (let c = 0; c < k; c++) {
        const factor = a[(i * m + r) * k + c];
        if (factor === 0) continue;
        const weights = b.subarray((i * k + c) * n, (i * k + c + 1) * n);
        for (let j = 0; j < n; j++) row[j] += factor * weights[j];
      }
    }
  }
  return out;
}

function reduced(op, x, length, size) {
  const out = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    let best = 0, value = op === "reduce_sum" ? 0 : x[i * length];
    for (let j = 0; j < length; j++) {
      const one = x[i * length + j];
      if (op === "reduce_sum") value += one;
      else if (op === "reduce_min" ? one < value : one > value) { value = one; best = j; }
    }
    out[i] = op === "argmax" ? best : value;
  }
  return out;
}

function step(one, values) {
  const [a, b, c] = one.in.map((number) => values[number]);
  const { op, size } = one;
  if (op === "matmul") return matmul(a, b, one);
  if (op === "take" || op === "pick") return Float32Array.from(b, (place) => a[place]);
  if ("length" in one) return reduced(op, a, one.length, size);
  const out = new Float32Array(size);
  if (op === "concatenate") {
    let start = 0;
    for (const number of one.in) { out.set(values[number], start); start += values[number].length; }
  } else if (op === "select_n") {
    const which = (i) => a[a.length > 1 ? i : 0];
    for (let i = 0; i < size; i++) {
      const from = which(i) ? c : b;
      out[i] = from[from.length > 1 ? i : 0];
    }
  } else if (op in UNARY) {
    const f = UNARY[op];
    for (let i = 0; i < size; i++) out[i] = f(a[i]);
  } else {
    const f = BINARY[op], x = a.length > 1, y = b.length > 1;
    for (let i = 0; i < size; i++) out[i] = f(a[x ? i : 0], b[y ? i : 0]);
  }
  return out;
}

// A program with its constants as arrays: a function from inputs by name to its outputs.
function runner(program) {
  return (inputs) => {
    const values = { ...program.constants };
    for (const [name, number] of Object.entries(program.inputs)) values[number] = Float32Array.from(inputs[name]);
    for (const one of program.steps) values[one.out] = step(one, values);
    return program.outputs.map((number) => values[number]);
  };
}

// The same where it is run for one row and many draws: what does not hang on the draw is run once.
function drawer(program) {
  const moving = new Set(["normal", "uniform"].map((name) => program.inputs[name]));
  const once = [], each = [];
  for (const one of program.steps) {
    if (one.in.some((number) => moving.has(number))) { each.push(one); moving.add(one.out); }
    else once.push(one);
  }
  return (inputs) => {
    const values = { ...program.constants };
    for (const [name, array] of Object.entries(inputs)) values[program.inputs[name]] = Float32Array.from(array);
    for (const one of once) values[one.out] = step(one, values);
    return (noise) => {
      for (const [name, array] of Object.entries(noise)) values[program.inputs[name]] = array;
      for (const one of each) values[one.out] = step(one, values);
      return program.outputs.map((number) => values[number]);
    };
  };
}

function halves(low, high) {  // float16 as float32
  return Float32Array.from(low, (byte, i) => {
    const h = byte | (high[i] << 8), sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

// Bytes of text in base 85 (elbax/explore/pack.py).
function fromText(text, alphabet) {
  const digit = new Uint8Array(128), found = new Uint8Array(text.length / 5 * 4), view = new DataView(found.buffer);
  for (let i = 0; i < alphabet.length; i++) digit[alphabet.charCodeAt(i)] = i;
  for (let i = 0; i < text.length; i += 5) {
    let word = 0;
    for (let j = 0; j < 5; j++) word = word * 85 + digit[text.charCodeAt(i + j)];
    view.setUint32(i / 5 * 4, word);
  }
  return found;
}

// Arrays by name, of a page's facts: [type, offset, length] of each in the deflated content.
async function unpacked({ content, table, alphabet, size }) {
  const inflated = new DecompressionStream("deflate"), writer = inflated.writable.getWriter();
  const bytes = fromText(content, alphabet);
  // The zeros that fill the last word are no part of it, and the reader minds them.
  writer.write(bytes.subarray(0, size)).catch(() => {});
  writer.close().catch(() => {});
  const buffer = await new Response(inflated.readable).arrayBuffer();
  const views = { f4: Float32Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array };
  const found = {};
  for (const [name, [type, offset, length]] of Object.entries(table)) {
    found[name] = type === "f2"
      ? halves(new Uint8Array(buffer, offset, length), new Uint8Array(buffer, offset + length, length))
      : new views[type](buffer, offset, length);
  }
  return found;
}

// Programs of a page's facts with their constants.
function programsOf(facts, arrays) {
  return Object.fromEntries(Object.entries(facts.programs).map(([name, program]) => {
    const constants = Object.entries(program.constants).map(([number, key]) => [number, arrays[key]]);
    return [name, { ...program, constants: Object.fromEntries(constants) }];
  }));
}

// Says what stands in the page, to whoever shows it (widget.js).
function tell(state) {
  window.elbax.state = state;
  window.dispatchEvent(new CustomEvent("elbax", { detail: state }));
}

if (typeof module !== "undefined") module.exports = { drawer, programsOf, runner, unpacked };
