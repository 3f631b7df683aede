"use strict";
(async () => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const arrays = await unpacked(facts);
  const model = { facts, arrays, programs: programsOf(facts, arrays) };
  const { columns } = facts, width = columns.length, count = arrays.rows.length / width;
  const byId = (id) => document.getElementById(id);
  const x = new Float32Array(width);  // the row, NaN where a cell is empty or wrong
  let row = 0, turn = 0;

  // --- the cells ---------------------------------------------------------------------------------

  const TYPES = { date: "date", moment: "datetime-local", time: "time", number: "text" };

  function field(column) {
    if (column.form === "choice") {
      const select = document.createElement("select");
      select.append(new Option("(empty)", ""));
      for (const category of column.categories) select.append(new Option(category, category));
      return select;
    }
    const input = document.createElement("input");
    Object.assign(input, { type: TYPES[column.form], placeholder: "(empty)", autocomplete: "off" });
    if (column.form === "number" && column.notation === null) input.inputMode = "decimal";
    if (column.form === "moment" || column.form === "time") input.step = 1;
    return input;
  }

  const element = (name, properties = {}) => Object.assign(document.createElement(name), properties);

  const lines = columns.map((column, j) => {
    const line = element("tr"), head = element("th", { scope: "row" });
    const input = field(column), button = element("button", { type: "button" });
    input.id = `cell${j}`;
    head.append(element("label", { htmlFor: input.id, textContent: column.name }));
    const cell = element("td", { className: "cell" }), problem = element("span", { className: "problem", id: `problem${j}` });
    input.setAttribute("aria-describedby", problem.id);
    cell.append(input, button, problem);
    const said = element("td", { className: "said" }), share = element("td", { className: "share" });
    const bar = element("span", { className: "bar" }), number = element("span");
    bar.setAttribute("aria-hidden", "true");
    share.append(number, bar);
    line.append(head, cell, said, share);
    byId("cells").tBodies[0].append(line);
    input.addEventListener("input", () => { take(j); update(); });
    button.addEventListener("click", () => { put(j, input.value === "" ? own(j) : NaN); update(); input.focus(); });
    return { input, button, problem, said, number, bar };
  });

  const own = (j) => arrays.rows[row * width + j];

  // A modelled number into a cell; one that is not to be written back stays as it is in the row.
  function put(j, value) {
    lines[j].input.value = Number.isNaN(value) ? "" : written(columns[j], value);
    x[j] = value;
    judged(j, "");
  }

  function take(j) {
    const found = numberOf(columns[j], lines[j].input.value);
    x[j] = typeof found === "string" ? NaN : found;
    judged(j, typeof found === "string" ? found : "");
  }

  function judged(j, problem) {
    const { input, button } = lines[j], nothing = input.value === "";
    lines[j].problem.textContent = problem;
    input.setAttribute("aria-invalid", String(problem !== ""));
    button.textContent = nothing ? "↺" : "×";
    button.setAttribute("aria-label", `${nothing ? "restore" : "empty"} ${columns[j].name}`);
    button.disabled = nothing && Number.isNaN(own(j));
  }

  // --- what the model says -----------------------------------------------------------------------

  const signed = (value) => (Number.isFinite(value) ? value.toFixed(2).replace("-", "−") : String(value));

  async function update() {
    const mine = ++turn, given = Float32Array.from(x);
    document.body.setAttribute("aria-busy", "true");
    const alive = () => mine === turn;
    const filled = await fill(model, given, alive);
    if (!alive()) return;
    columns.forEach((column, j) => {
      const [guessed, how] = Number.isNaN(given[j]) ? guess(column, j, filled) : ["", ""];
      lines[j].said.replaceChildren(guessed, ...(how ? [" ", element("span", { textContent: how })] : []));
    });
    const scored = await score(model, given, alive);
    if (!alive()) return;
    say(scored, filled);
    Object.assign(window.elbax, { filled, scored });
    document.body.setAttribute("aria-busy", "false");
    const texts = (each) => Object.fromEntries(columns.map((column, j) => [column.name, each(column, j)]));
    tell({
      row, logP: scored.logP, cells: texts((_, j) => lines[j].input.value),
      filled: texts((column, j) => (filled ? written(column, filled.value[j]) : lines[j].input.value)),
    });
  }

  // What an empty cell is expected to hold, and how sure that is.
  function guess(column, j, filled) {
    const text = written(column, filled.value[j]);
    if (!column.ordered) return [text, `(${(100 * filled.share[j]).toFixed(0)} %)`];
    const ends = [filled.lower[j], filled.upper[j]].map((end) => written(column, end));
    return [text, `(${(100 * facts.level).toFixed(0)} %: ${ends[0]} to ${ends[1]})`];
  }

  function say({ logP, shares, kl, effective }, filled) {
    const sum = signed(logP + kl);
    byId("total").textContent = `log p of the cells: ${signed(logP)} nats = shares ${sum} − KL ${signed(kl)}`;
    const few = [effective, filled ? filled.effective : Infinity].some((draws) => draws < 10);
    byId("trust").textContent = few ? "Fewer than ten draws carry this: it is not to be trusted." : "";
    const most = Math.max(1e-9, ...shares.filter((share) => !Number.isNaN(share)).map(Math.abs));
    shares.forEach((share, j) => {
      const { number, bar } = lines[j], nothing = Number.isNaN(share);
      number.textContent = nothing ? "" : signed(share);
      number.parentElement.classList.toggle("none", nothing);
      bar.style.width = nothing ? "0" : `calc((100% - 5rem) * ${Math.abs(share) / most})`;
      bar.classList.toggle("below", share < 0);
    });
  }

  // --- rows --------------------------------------------------------------------------------------

  function show(i) {
    row = Math.min(Math.max(Number.isInteger(i) ? i : 0, 0), count - 1);
    byId("row").value = row;
    columns.forEach((_, j) => put(j, own(j)));
    return update();
  }

  byId("row").max = count - 1;
  byId("row").addEventListener("change", () => show(+byId("row").value));
  byId("before").addEventListener("click", () => show(row - 1));
  byId("after").addEventListener("click", () => show(row + 1));
  byId("restore").addEventListener("click", () => show(row));
  byId("empty").addEventListener("click", () => { columns.forEach((_, j) => put(j, NaN)); update(); });
  window.elbax = { facts, model, x, show };  // for the console
  show(0);
})();
