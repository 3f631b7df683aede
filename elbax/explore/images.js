"use strict";
(async () => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const arrays = await unpacked(facts);
  const programs = Object.entries(programsOf(facts, arrays)).map(([name, one]) => [name, runner(one)]);
  const plain = Object.fromEntries(programs), condition = new Float32Array(facts.classes);
  const run = {
    encode: (given) => plain.encode({ ...given, condition }),
    decode: (given) => plain.decode({ ...given, condition }),
  };

  const [height, width, channels] = facts.shape, size = height * width * channels;
  const latents = facts.latents, count = arrays.means.length / latents;
  const [black, white] = facts.range;
  const colours = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#f0e442",
    "#8c564b", "#7f7f7f", "#17becf"];
  const byId = (id) => document.getElementById(id);
  const map = byId("map"), across = byId("across"), up = byId("up");
  const z = new Float32Array(latents);
  let row = -1, before = null, scale = null, walking = 0;

  // --- pictures ---------------------------------------------------------------------------

  const zoom = Math.max(1, Math.floor(224 / Math.max(height, width)));
  for (const id of ["decoded", "original", "pad"]) {
    byId(id).width = width * zoom;
    byId(id).height = height * zoom;
  }

  // Values as the decoder has them.
  function show(id, x) {
    const small = new ImageData(width, height);
    for (let i = 0; i < height * width; i++) {
      for (let c = 0; c < 3; c++) {
        const value = x[i * channels + (channels >= 3 ? c : 0)];
        // A pixel that was not observed is orange.
        small.data[4 * i + c] = Number.isNaN(value) ? [230, 159, 0][c]
          : 255 * (value - black) / (white - black);
      }
      small.data[4 * i + 3] = 255;
    }
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    canvas.getContext("2d").putImageData(small, 0, 0);
    const context = byId(id).getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, 0, 0, width * zoom, height * zoom);
  }

  const stored = (i) => arrays.rows.subarray(i * size, (i + 1) * size);
  const seen = (x) => Float32Array.from(x, (v) => facts.stored === "bytes" ? v / facts.top : v);

  // --- the map ----------------------------------------------------------------------------

  let reach = 3;
  for (const value of arrays.means) reach = Math.max(reach, Math.min(6, Math.abs(value) * 1.05));
  const toPixel = (value, length) => (value / reach + 1) / 2 * length;
  const toValue = (pixel, length) => (pixel / length * 2 - 1) * reach;
  const axes = () => [+across.value, +up.value];
  const label = (i) => facts.labels === null ? -1 : facts.labels[i];
  const colour = (i) => label(i) < 0 ? "#0072b2" : colours[label(i) % colours.length];

  function drawMap() {
    const context = map.getContext("2d"), [a, b] = axes(), w = map.width, h = map.height;
    const ink = getComputedStyle(document.body).color;
    context.clearRect(0, 0, w, h);
    context.strokeStyle = "#8884";
    for (const place of [w / 2, h / 2]) {
      context.beginPath(); context.moveTo(place, 0); context.lineTo(place, h); context.stroke();
      context.beginPath(); context.moveTo(0, place); context.lineTo(w, place); context.stroke();
    }
    for (let i = 0; i < count; i++) {
      context.fillStyle = colour(i);
      context.globalAlpha = i === row ? 1 : 0.65;
      context.beginPath();
      context.arc(toPixel(arrays.means[i * latents + a], w), h - toPixel(arrays.means[i * latents + b], h),
        i === row ? 6 : 3, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    const x = toPixel(z[a], w), y = h - toPixel(z[b], h);
    context.strokeStyle = ink;
    context.lineWidth = 2;
    context.beginPath(); context.arc(x, y, 8, 0, 7); context.stroke();
    if (scale !== null) {  // the posterior's ellipse of one standard deviation
      context.beginPath();
      context.ellipse(x, y, Math.max(1, scale[a] / reach / 2 * w), Math.max(1, scale[b] / reach / 2 * h), 0, 0, 7);
      context.stroke();
    }
    context.lineWidth = 1;
  }

  // --- latents ----------------------------------------------------------------------------

  const sliders = [];
  for (const j of facts.order) {
    for (const [select, place] of [[across, 0], [up, 1]]) {
      const option = new Option(`latent ${j} (${facts.held[j].toFixed(2)})`, j);
      option.selected = facts.order[Math.min(place, latents - 1)] === j;
      select.append(option);
    }
    const name = document.createElement("label"), slider = document.createElement("input");
    const value = document.createElement("output");
    name.textContent = `latent ${j}, ${facts.held[j].toFixed(2)} ${facts.unit}`;
    name.htmlFor = slider.id = `latent${j}`;
    Object.assign(slider, { type: "range", min: -4, max: 4, step: 0.01, value: 0 });
    slider.addEventListener("input", () => { z[j] = +slider.value; free(); });
    byId("sliders").append(name, slider, value);
    sliders[j] = { slider, value };
  }

  function update() {
    show("decoded", run.decode({ z })[0]);
    sliders.forEach(({ slider, value }, j) => { slider.value = z[j]; value.textContent = z[j].toFixed(2); });
    drawMap();
    tell({ z: Array.from(z), row });
  }

  function free() { scale = null; walking++; byId("posterior").textContent = ""; update(); }

  function say() {
    const said = (j) => z[j].toFixed(2) + (scale === null ? "" : ` ± ${scale[j].toFixed(2)}`);
    const parts = [...new Set(axes())].map((j) => `latent ${j} ${said(j)}`);
    byId("posterior").textContent = `posterior: ${parts.join(", ")}`;
  }

  function setClass(code) {
    if (!facts.classes) return;
    condition.fill(0);
    condition[code] = 1;
    byId("class").value = code;
  }

  function take(i) {
    if (label(i) >= 0) setClass(label(i));
    if (row >= 0 && row !== i) before = row;
    row = i;
    walking++;
    const [mean, deviation] = run.encode({ x: stored(i) });
    z.set(mean);
    scale = deviation ?? null;
    say();
    show("original", seen(stored(i)));
    byId("what").textContent = `test row ${i}` + (label(i) < 0 ? "" : `: ${named(label(i))}`);
    byId("walk").disabled = before === null;
    update();
  }

  const named = (code) => facts.label_names[code] ?? String(code);

  // --- hands ------------------------------------------------------------------------------

  function at(event, canvas) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function nearest(x, y) {
    const [a, b] = axes();
    let best = -1, least = Infinity;
    for (let i = 0; i < count; i++) {
      const distance = Math.hypot(arrays.means[i * latents + a] - x, arrays.means[i * latents + b] - y);
      if (distance < least) { least = distance; best = i; }
    }
    return [best, least];
  }

  function point(event) {
    const [x, y] = at(event, map), [a, b] = axes();
    z[a] = toValue(x, 1);
    z[b] = toValue(1 - y, 1);
    free();
  }

  let down = null;
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    down = [event.clientX, event.clientY];
  });
  map.addEventListener("pointermove", (event) => { if (down !== null) point(event); });
  map.addEventListener("pointerup", (event) => {
    const still = down !== null && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4;
    down = null;
    const [x, y] = at(event, map);
    const [best, distance] = nearest(toValue(x, 1), toValue(1 - y, 1));
    if (still && best >= 0 && distance < reach / 40) take(best);
    else point(event);
  });
  map.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const [a, b] = axes();
    if (event.key === "Enter") take(nearest(z[a], z[b])[0]);
    else if (step) { z[a] += step[0] * 0.1; z[b] += step[1] * 0.1; free(); }
    else return;
    event.preventDefault();
  });
  across.addEventListener("change", drawMap);
  up.addEventListener("change", drawMap);

  byId("zero").addEventListener("click", () => { z.fill(0); free(); });
  byId("prior").addEventListener("click", () => {
    for (let j = 0; j < latents; j++) {  // Box and Muller
      z[j] = Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
    }
    free();
  });
  byId("walk").addEventListener("click", () => {
    const mean = (i) => arrays.means.subarray(i * latents, (i + 1) * latents);
    const from = mean(before), to = mean(row), mine = ++walking, start = performance.now();
    scale = null;
    (function frame(now) {
      if (mine !== walking) return;
      const t = Math.min(1, Math.max(0, (now - start) / 2000));
      for (let j = 0; j < latents; j++) z[j] = (1 - t) * from[j] + t * to[j];
      update();
      if (t < 1) requestAnimationFrame(frame);
    })(start);
  });

  // --- drawing ----------------------------------------------------------------------------

  const pad = new Float32Array(height * width);
  if (channels !== 1 || facts.stored !== "bytes") byId("drawing").remove();
  else {
    const canvas = byId("pad");
    let drawing = false;
    const paint = (event) => {
      const [x, y] = at(event, canvas), radius = Math.max(height, width) / 18;
      for (let r = 0; r < height; r++) {
        for (let c = 0; c < width; c++) {
          const distance = Math.hypot(c + 0.5 - x * width, r + 0.5 - y * height);
          const ink = Math.max(0, Math.min(1, 1.5 * radius - distance));
          pad[r * width + c] = Math.max(pad[r * width + c], ink);
        }
      }
      look();
    };
    const look = () => {
      show("pad", pad);
      row = -1;
      const [mean, deviation] = run.encode({ x: Float32Array.from(pad, (v) => Math.round(v * facts.top)) });
      z.set(mean);
      scale = deviation ?? null;
      walking++;
      show("original", pad);
      byId("what").textContent = "drawing";
      say();
      update();
    };
    canvas.addEventListener("pointerdown", (event) => { drawing = true; canvas.setPointerCapture(event.pointerId); paint(event); });
    canvas.addEventListener("pointermove", (event) => { if (drawing) paint(event); });
    canvas.addEventListener("pointerup", () => { drawing = false; });
    byId("clear").addEventListener("click", () => { pad.fill(0); look(); });
    show("pad", pad);
  }

  // --- the condition, where there is one ---

  if (facts.classes) {
    for (let code = 0; code < facts.classes; code++) byId("class").append(new Option(named(code), code));
    byId("class").addEventListener("change", () => { setClass(+byId("class").value); update(); });
    setClass(0);
  } else byId("given").remove();

  // --- at the start -------------------------------------------------------------------------

  const classes = facts.labels === null ? [] : [...new Set(facts.labels)].filter((l) => l >= 0).sort((a, b) => a - b);
  for (const code of classes.slice(0, 10)) {
    const key = document.createElement("span");
    key.className = "key";
    key.style.background = colours[code % colours.length];
    byId("legend").append(key, named(code));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMap);
  window.elbax = { facts, run, arrays, take, z };  // for the console
  if (count > 0) take(0); else update();
})();
