"use strict";
// Cells as a person writes them, and the numbers that the model sees (elbax/data/columns.py).

const even = (x) => UNARY.round(x);  // halves to even numbers, as numpy.rint

// A modelled number in the column's own units, as its cells are: whole, at their resolution, in their range.
function asWritten(column, x) {
  if (column.form === "choice") return Math.min(Math.max(even(x), 0), column.categories.length - 1);
  let value = x * column.scale + column.shift;
  if (column.counted) value = Math.max(even(value), 0);
  else if (column.resolution > 0) {
    const digits = Math.max(0, 2 - Math.floor(Math.log10(column.resolution)));
    value = +(even(value / column.resolution) * column.resolution).toFixed(Math.min(digits, 20));
  } else value = rounded(value, column);
  if (column.lower !== null && column.upper !== null) value = Math.min(Math.max(value, column.lower), column.upper);
  return column.whole ? even(value) : value;
}

// To as many digits as a float32 has: of the spread, or of a positive number itself.
function rounded(value, column) {
  const size = column.kind === "positive" ? Math.abs(value) : column.scale;
  const digits = (column.kind === "positive" ? 6 : 5) - Math.floor(Math.log10(size > 0 ? size : 1));
  const up = 10 ** Math.min(Math.max(digits, 0), 22), down = 10 ** Math.min(Math.max(-digits, 0), 22);
  return even(value * up / down) / up * down;
}

// A modelled number as what stands in the cell.
function written(column, x) {
  const value = asWritten(column, x);
  if (column.form === "choice") return column.categories[value];
  if (column.form !== "number") return moment(column, value);
  const notation = column.notation;
  if (notation === null) return String(value);
  const [whole, ...rest] = Math.abs(value).toFixed(notation.decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, notation.thousands);
  return (value < 0 ? "-" : "") + notation.prefix + [grouped, ...rest].join(notation.decimal) + notation.suffix;
}

// Dates and times as a page's fields have them.
function moment(column, value) {
  const text = new Date(even(value * column.unit) * 1000).toISOString();
  if (column.form === "date") return text.slice(0, 10);
  return column.form === "time" ? text.slice(11, 19) : text.slice(0, 19);
}

// What stands in a cell as the modelled number, NaN of an empty one; a text says what is wrong with it.
function numberOf(column, text) {
  text = text.trim();
  if (text === "") return NaN;
  if (column.form === "choice") return column.categories.indexOf(text);
  let value;
  if (column.form === "number") value = parsed(column, text);
  else {
    const whole = { date: `${text}T00:00:00Z`, moment: `${text}Z`, time: `1970-01-01T${text}Z` }[column.form];
    value = Date.parse(whole) / 1000 / column.unit;
  }
  if (!Number.isFinite(value)) return "no number";
  if (column.range !== null && !within(column.range, value)) return `${column.range} are asked for`;
  return Math.fround((value - column.shift) / column.scale);
}

const RANGES = {
  "numbers above 0": (x) => x > 0,
  "whole numbers from 0 on": (x) => x >= 0 && Number.isInteger(x),
  "numbers from 0 to 1": (x) => x >= 0 && x <= 1,
};
const within = (range, value) => RANGES[range](value);

// A number as the column writes it, or as every program does.
function parsed(column, text) {
  const notation = column.notation;
  if (notation !== null) {
    let core = text;
    for (const mark of [notation.prefix, notation.suffix]) core = core.replace(mark.trim(), "");
    if (notation.thousands) core = core.replaceAll(notation.thousands, "");
    core = core.replace(/\s/g, "").replace("−", "-").replace(notation.decimal, ".");
    if (core !== "" && Number.isFinite(+core)) return +core;
  }
  return Number(text.replace("−", "-"));
}

if (typeof module !== "undefined") Object.assign(module.exports, { numberOf, written });
