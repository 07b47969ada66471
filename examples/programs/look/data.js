'use strict';
// ---- the data: see look_weights.hpp ----

const $ = id => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const bytes = base64 => Uint8Array.from(atob(base64), c => c.charCodeAt(0));
const sums = new Float32Array(bytes(data.weights.sums).buffer);  // [words, layers, heads, parts]
const levels = bytes(data.weights.levels);                       // [words, layers, heads, columns]
const layers = data.layers.length, heads = data.heads, parts = data.weights.parts, own = parts - 1;
const promptSize = data.prompt.reduce((size, piece) => size + piece.size, 0);
const columns = promptSize + data.words.length;
const partOf = partOfColumns();
const gridSide = Math.round(Math.sqrt((data.prompt.find(piece => piece.kind === 'image') || {size: 0}).size));

/** The part of each column: 0 for the prompt's text, 1, 2, ... for the images, the last one for the decoder's own past. */
function partOfColumns() {
  const part = new Uint8Array(columns).fill(own);
  let image = 0;
  for (const piece of data.prompt)
    part.fill(piece.kind === 'image' ? ++image : 0, piece.first, piece.first + piece.size);
  return part;
}

/** The rows of a word in one layer and head; -1 stands for all. */
function rowsOf(word, layer, head) {
  const rows = [];
  for (let l = Math.max(layer, 0); l < (layer < 0 ? layers : layer + 1); ++l)
    for (let h = Math.max(head, 0); h < (head < 0 ? heads : head + 1); ++h)
      rows.push(((word - data.first) * layers + l) * heads + h);
  return rows;
}

/** The share of the softmax that goes to each part: a mean over rows. */
function sharesOf(word, layer, head) {
  const rows = rowsOf(word, layer, head), shares = new Float64Array(parts);
  for (const row of rows)
    for (let part = 0; part < parts; ++part) shares[part] += sums[row * parts + part] / rows.length;
  return shares;
}

/** The share that goes to each column: a mean over rows. */
function weightsOf(word, layer, head) {
  const rows = rowsOf(word, layer, head), weights = new Float64Array(columns);
  for (const row of rows) {
    const level = levels.subarray(row * columns, (row + 1) * columns), squares = new Float64Array(parts);
    level.forEach((value, column) => squares[partOf[column]] += value * value);
    level.forEach((value, column) => {
      const part = partOf[column];
      if (value) weights[column] += sums[row * parts + part] * value * value / squares[part] / rows.length;
    });
  }
  return weights;
}
