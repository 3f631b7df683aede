"use strict";
// What `elbax score` and `elbax impute` estimate of one row, by draws of the page's programs.
// Both stop where alive() is false, and answer null then.

const RANGE = 0.1 / 2 ** -23;  // of log-weights in nats: elbax/evaluate/weights.py
const SLICE = 12;  // milliseconds of work, after which the page may do something else

// Runs of the program `use` for a row x: calls each(outputs, draw), a slice at a time.
async function drawn(model, use, x, alive, each) {
  const count = model.facts.draws[use], noise = noiseOf(model, use, count);
  const draw = drawer(model.programs[use])({ x });
  let start = performance.now();
  for (let i = 0; i < count; i++) {
    each(draw(noise(i)), i);
    if (performance.now() - start > SLICE) {
      await new Promise((resolve) => setTimeout(resolve));
      if (!alive()) return false;
      start = performance.now();
    }
  }
  return true;
}

// From a draw's number to what is drawn by it.
function noiseOf(model, use, count) {
  const kinds = ["normal", "uniform"].filter((kind) => `${use}.${kind}` in model.arrays);
  return (i) => Object.fromEntries(kinds.map((kind) => {
    const whole = model.arrays[`${use}.${kind}`], size = whole.length / count;
    return [kind, whole.subarray(i * size, (i + 1) * size)];
  }));
}

// log p(x) in nats, each column's share of it, and KL(p(z|x) ‖ p(z)) (elbax/evaluate/scores.py).
async function score(model, x, alive = () => true) {
  const logs = [], elements = [];
  const done = await drawn(model, "score", x, alive, ([log, each]) => {
    logs.push(Number.isNaN(log[0]) ? -Infinity : log[0]);
    elements.push(each);
  });
  if (!done) return null;
  const top = logs.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logs.map((log) => top === -Infinity ? 0 : Math.exp(log - top));
  const total = weights.reduce((a, b) => a + b, 0);
  const shares = Array.from(x, (cell, j) => {
    if (Number.isNaN(cell)) return NaN;
    let sum = 0;
    weights.forEach((w, i) => { if (w > 0) sum += w * elements[i][j]; });
    return sum / total;
  });
  const logP = top + Math.log(total) - Math.log(logs.length);
  const squares = weights.reduce((a, w) => a + w * w, 0);
  const sum = shares.reduce((a, share) => a + (Number.isNaN(share) ? 0 : share), 0);
  return { logP, shares, kl: sum - logP, effective: total > 0 ? total * total / squares : 0 };
}

// Empty cells as they are expected, with intervals (elbax/evaluate/imputation.py); null of a whole row.
async function fill(model, x, alive = () => true) {
  if (!x.some(Number.isNaN)) return null;
  const { families, draws } = model.facts, logs = [], outputs = [];
  const done = await drawn(model, "fill", x, alive, ([log, ...rest]) => {
    logs.push(log[0]);
    outputs.push(rest);
  });
  if (!done) return null;
  const { weights, effective } = normalised(logs);
  const found = { value: new Array(x.length), share: new Array(x.length).fill(1), effective };
  families.forEach((family, f) => settle(family, average(weights, outputs.map((one) => one[f])), found));
  const chosen = choose(weights, model.arrays["fill.choice"]), cells = Array.from(x, () => []);
  for (const { place, columns } of cellsOf(model, outputs, chosen)) {
    columns.forEach((column, j) => { cells[column] = place.map((values) => values[j]); });
  }
  const ends = [0.5 - model.facts.level / 2, 0.5 + model.facts.level / 2];
  const [lower, upper] = ends.map((end) => Array.from(cells, (each) => quantile(each, end)));
  const put = (values, kept = x) => Array.from(x, (cell, j) => (Number.isNaN(cell) ? values[j] : kept[j]));
  const whole = x.map(() => 1);
  return { ...found, value: put(found.value), share: put(found.share, whole), lower: put(lower), upper: put(upper), draws: draws.fill };
}

// Weights that sum to one, and how many draws they are worth; one that float32 rounds weighs nothing.
function normalised(logs) {
  const sound = logs.map((log) => (Math.abs(log) < RANGE ? log : -Infinity));
  const top = sound.reduce((a, b) => Math.max(a, b), -Infinity);
  if (top === -Infinity) return { weights: logs.map(() => 1 / logs.length), effective: 0 };
  const each = sound.map((log) => Math.exp(log - top)), total = each.reduce((a, b) => a + b, 0);
  const weights = each.map((w) => w / total);
  return { weights, effective: 1 / weights.reduce((a, w) => a + w * w, 0) };
}

function average(weights, values) {
  const found = new Float64Array(values[0].length);
  weights.forEach((w, i) => {
    if (w > 0) for (let j = 0; j < found.length; j++) found[j] += w * values[i][j];
  });
  return found;
}

// A family's columns from averages: means as they are, of levels the most probable one.
function settle({ what, columns }, averaged, found) {
  columns.forEach((column, j) => {
    if (what === "numbers") found.value[column] = averaged[j];
    else if (what === "binary") {
      found.value[column] = +(averaged[j] > 0.5);
      found.share[column] = Math.max(averaged[j], 1 - averaged[j]);
    } else {
      let best = 0;
      for (let level = 1; level * columns.length < averaged.length; level++) {
        if (averaged[level * columns.length + j] > averaged[best * columns.length + j]) best = level;
      }
      found.value[column] = best;
      found.share[column] = averaged[best * columns.length + j];
    }
  });
}

// As jax.random.choice: the places of uniform numbers among the cumulated weights, in float32.
function choose(weights, uniform) {
  const cumulated = new Float32Array(weights.length);
  weights.forEach((w, i) => { cumulated[i] = (i ? cumulated[i - 1] : 0) + w; });
  const total = cumulated[weights.length - 1];
  return Array.from(uniform, (u) => {
    const sought = Math.fround(total * (1 - u)), place = cumulated.findIndex((c) => c >= sought);
    return place < 0 ? weights.length - 1 : place;
  });
}

// Cells at the chosen draws: of each family its columns and their values, a row for each draw.
function cellsOf(model, outputs, chosen) {
  const { families, samplers, draws } = model.facts;
  const counted = families.reduce((sum, { counts }) => sum + counts, 0);
  const leaves = (i) => outputs[i].slice(families.length + counted);
  const byProgram = (name, columns) => {
    const run = runner(model.programs[name]), noise = noiseOf(model, name, draws.cells);
    const asked = Object.keys(model.programs[name].inputs).filter((key) => key.startsWith("leaf"));
    const place = chosen.map((i, draw) => {
      const given = leaves(i);
      return run({ ...Object.fromEntries(asked.map((key) => [key, given[+key.slice(4)]])), ...noise(draw) })[0];
    });
    return { place, columns };
  };
  if (samplers.includes("cells")) return [byProgram("cells", outputs.length ? model.facts.columns.map((_, j) => j) : [])];
  const found = [];
  let start = families.length;
  for (const family of families) {
    const from = start;
    start += family.counts;
    if (family.sampler) found.push(byProgram(family.sampler, family.columns));
    else if (family.counts) {
      const random = randomly(1);
      const place = chosen.map((i) => {
        const parameters = outputs[i].slice(from, from + family.counts);
        return family.columns.map((_, j) => count(random, ...parameters.map((each) => each[j])));
      });
      found.push({ place, columns: family.columns });
    }
  }
  return found;
}

// jnp.quantile: linear between neighbours.
function quantile(values, share) {
  if (!values.length) return NaN;
  const sorted = Float64Array.from(values).sort(), at = share * (sorted.length - 1), low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]);
}

// --- counts, which no program draws --------------------------------------------------------------

// Numbers in (0, 1) that look random, by a seed (mulberry32).
function randomly(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}

const normal = (random) => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());

// The logarithm of a gamma variable (Marsaglia and Tsang 2000).
function logGamma(random, shape) {
  if (shape < 1) return logGamma(random, shape + 1) + Math.log(random()) / shape;
  const d = shape - 1 / 3, c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random), v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(random()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return Math.log(d * v);
  }
}

// Masses are taken off a uniform number from the mode outwards; of millions it is a rounded normal.
function poisson(random, mean) {
  if (!(mean > 0)) return 0;
  if (mean > 1e6) return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal(random)));
  const mode = Math.floor(mean), reach = 12 * Math.sqrt(mean) + 40;
  let up = Math.exp(mode * Math.log(mean) - mean - lgamma(mode + 1)), down = up, left = random() - up;
  for (let i = 1; left > 0 && i < reach; i++) {
    up *= mean / (mode + i);
    left -= up;
    if (left <= 0) return mode + i;
    if (mode - i < 0) continue;
    down *= (mode - i + 1) / mean;
    left -= down;
    if (left <= 0) return mode - i;
  }
  return mode;
}

// Poisson, or with an inverse dispersion negative binomial.
function count(random, mean, concentration) {
  if (concentration === undefined) return poisson(random, mean);
  const log = logGamma(random, concentration) + Math.log(mean) - Math.log(concentration);
  return poisson(random, Math.exp(log));
}

if (typeof module !== "undefined") Object.assign(module.exports, { count, fill, randomly, score });
