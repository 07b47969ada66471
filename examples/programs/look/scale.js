// ---- the strength of colours, and the legend ----

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const decades = 4;  // of the absolute scale

/** 0 at 0.01 % and below, 1 at 100 %, a quarter for each power of ten: the same for words, tokens and squares. */
const absoluteHeat = share => share > 0 ? clamp(1 + Math.log10(share) / decades, 0, 1) : 0;

/** Linear, from 0 to 1 at `full`. */
const relativeHeat = (share, full) => full > 0 ? Math.min(share / full, 1) : 0;

/** A strength from 0 to 1; `full` is the share with strength 1 when colours are relative. */
const heatOf = (share, full) => state.relative ? relativeHeat(share, full) : absoluteHeat(share);

/** With two decimals near 0 % and 100 %, where they matter. */
function percent(share) {
  if (share > 0 && share < 0.00005) return '<0.01 %';
  if (share > 0.99995 && share < 0.99999995) return '>99.99 %';
  const decimals = share < 0.00005 || share > 0.99995 ? 0 : share < 0.01 || share > 0.99 ? 2 : 1;
  return `${(100 * share).toFixed(decimals)} %`;
}

/** The colours over an image from a small share (0) to a large one (1): red, green, blue, opacity. */
const ramp = [[10, 12, 38, 0.62], [130, 26, 96, 0.5], [255, 205, 70, 0.55]];
function imageColour(heat) {
  const at = clamp(heat, 0, 1) * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2);
  const mixed = ramp[low].map((value, i) => value + (ramp[low + 1][i] - value) * (at - low));
  return `rgb(${mixed[0]} ${mixed[1]} ${mixed[2]} / ${mixed[3]})`;
}

/** The largest weight, special tokens and whole images aside: next to a sink the rest would be pale. */
function largestOf(pieces, weights) {
  const ordinary = weights.filter((_, i) => pieces[i].kind === 'text');
  return (ordinary.some(x => x > 0) ? ordinary : weights).reduce((a, b) => Math.max(a, b), 0);
}

/** A row of the legend: its name, the colours from 0 to 1, and the share at 1. */
function makeLegendRow(name, text) {
  const row = element('div', 'colours'), full = element('span'), steps = 31;
  row.classList.toggle('on-card', name !== 'squares');
  for (let step = 0; step <= steps; ++step) {
    const colour = element('i', name);
    if (name === 'squares') colour.style.background = imageColour(step / steps);
    else colour.style.setProperty('--heat', step / steps);
    row.append(colour);
  }
  $('legend').append(element('span', '', text), row, full);
  return {name, full};
}

function makeLegend() {
  const rows = [makeLegendRow('own', 'words')];
  if (promptSize > 0) rows.push(makeLegendRow('prompt', 'prompt'));
  if (images.length > 0) rows.push(makeLegendRow('squares', 'squares'));
  $('legend').append(element('div', 'axis'));
  return rows;
}

/** `full`: the share at strength 1, by the row's name. */
function drawLegend(full) {
  for (const row of legend) row.full.textContent = state.relative ? `100 = ${percent(full[row.name])}` : '';
  const labels = state.relative ? ['0', '25', '50', '75', '100'] : ['0.01', '0.1', '1', '10', '100 %'];
  document.querySelector('.axis').replaceChildren(...labels.map((label, i) => {
    const made = element('span', '', label);
    made.style.left = `${100 * i / (labels.length - 1)}%`;
    return made;
  }));
  $('legend-note').textContent = state.relative ?
    'Relative colours: of each row the largest shown is 100, special tokens and whole images aside.' :
    'One logarithmic scale for all, in shares of the softmax, the same for every word, layer and head.';
}
