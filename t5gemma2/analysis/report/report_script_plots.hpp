// The script of report_html.hpp's page, second part: the histogram and the heat map.
#pragma once
#include <string_view>

namespace t5gemma2::report_detail {

inline constexpr std::string_view html_script_plots = R"js(
// ---- plots: a grid of cells; the pointer and the arrow keys move a cursor over them ----

/** `tell(row, column)` is the text for a cell. */
function makePlot(id) {
  const plot = {box: $(id), told: $(`${id}-told`), cursor: element('i', 'cursor'), rows: 1, columns: 1, row: 0, column: 0, tell: () => ''};
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
  plot.box.onpointermove = plot.box.onpointerdown = event => {
    const {left, top} = plot.box.getBoundingClientRect(), {clientLeft, clientTop, clientWidth, clientHeight} = plot.box;
    moveCursor(plot, Math.floor((event.clientY - top - clientTop) / clientHeight * plot.rows),
               Math.floor((event.clientX - left - clientLeft) / clientWidth * plot.columns));
  };
  plot.box.onkeydown = event => {
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    const [down, right] = steps[event.key];
    moveCursor(plot, plot.row + down, plot.column + right);
    event.preventDefault();
  };
  return plot;
}

function moveCursor(plot, row, column) {
  plot.row = Math.min(Math.max(row, 0), plot.rows - 1);
  plot.column = Math.min(Math.max(column, 0), plot.columns - 1);
  const part = (count, all) => `${100 * count / all}%`;
  Object.assign(plot.cursor.style, {
    left: part(plot.column, plot.columns), top: part(plot.row, plot.rows), width: part(1, plot.columns), height: part(1, plot.rows),
  });
  plot.told.textContent = plot.tell(plot.row, plot.column);
}

const histogram = makePlot('histogram'), heatMap = makePlot('heat-map');

// ---- the histogram: bars of log10(|difference| / max |yours|), from -10 up, four to a decade ----

const lowest = -10, barsOfDecade = 4;
const logOfBar = bar => lowest + bar / barsOfDecade;

/** "1.0e-04 to 1.8e-04", of a bar of 40. */
function rangeOf(bar, bars = 40) {
  const from = number(10 ** logOfBar(bar)), to = number(10 ** logOfBar(bar + 1));
  return bar === 0 ? `below ${to}` : bar === bars - 1 ? `${from} or more, or not finite` : `${from} to ${to}`;
}

function makeBar(count, bar, bars, largest) {
  const made = element('i', 'bar');
  made.style.left = `${100 * bar / bars}%`;
  made.style.height = `${92 * Math.log1p(count) / Math.log1p(largest)}%`;
  made.style.background = rgb(ramp(strengthOf(logOfBar(bar + 0.5))));
  made.hidden = count === 0;
  return made;
}

function makeTick(power) {
  const tick = element('span', '', power === 0 ? '1' : `1e${power < -9 ? power : `-0${-power}`}`);
  tick.style.setProperty('--at', `${10 * (power - lowest)}%`);
  return tick;
}

function drawHistogram(t) {
  $('differences').hidden = !t.histogram;
  if (!t.histogram) return;
  const counts = t.histogram, bars = counts.length, all = counts.reduce((a, b) => a + b, 0), largest = Math.max(...counts);
  const tolerance = element('i', 'tolerance'), place = barsOfDecade * (Math.log10(t.tolerance) - lowest) / bars;
  tolerance.style.left = `${100 * Math.min(Math.max(place, 0), 1)}%`;
  histogram.box.replaceChildren(...counts.map((count, bar) => makeBar(count, bar, bars, largest)), tolerance, histogram.cursor);
  histogram.box.setAttribute('aria-label', 'Histogram of differences; left and right arrow keys move over the bars');
  histogram.columns = bars;
  histogram.tell = (_, bar) => `${bar === 0 ? 'equal, or ' : ''}${rangeOf(bar)}: ${counted(counts[bar], 'number')}, ` +
    `${shortNumber(100 * counts[bar] / all, 3)} %`;
  $('decades').replaceChildren(...[-10, -8, -6, -4, -2, 0].map(makeTick));
  moveCursor(histogram, 0, counts.indexOf(largest));
}

// ---- the heat map ----

const digits = '.0123456789abcdefghijklmnopqrstuvwxyzABCD';
const levelsOf = cells => cells.map(row => [...row].map(digit => digits.indexOf(digit) - 1));  // -1: all are equal

/** The axes of a row, those of one text left out: {name, index}. */
function placesOfRow(t, row) {
  const places = [];
  for (let axis = t.shape.length - 2; axis >= 0; row = Math.floor(row / t.shape[axis--]))
    if (t.shape[axis] > 1 || axis > 0) places.unshift({name: t.heat_map.axes[axis], index: row % t.shape[axis]});
  return places;
}

/** "head 0, query 4 to 7", or with all axes twice where more than the last one changes. */
function rowsText(t, first, last) {
  const from = placesOfRow(t, first), to = placesOfRow(t, last);
  const text = places => places.map(place => `${place.name} ${place.index}`).join(', ');
  if (first === last) return text(from);
  const oneAxis = from.slice(0, -1).every((place, i) => place.index === to[i].index);
  return `${text(from)} to ${oneAxis ? to.at(-1).index : text(to)}`;
}

/** What a cell holds, in words. */
function cellText(t, levels, row, column) {
  const {axes, rows_each: height, cols_each: width} = t.heat_map, columns = t.shape.at(-1) ?? 1;
  const rows = t.shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
  const left = column * width, right = Math.min(left + width, columns) - 1;
  const where = [rowsText(t, row * height, Math.min((row + 1) * height, rows) - 1),
                 `${axes.at(-1) ?? 'number'} ${left}${right > left ? ` to ${right}` : ''}`].filter(text => text);
  const level = levels[row][column];
  return `${where.join(', ')}: ${level < 0 ? 'equal' : `largest difference ${rangeOf(level)}`}`;
}

/** One pixel for each cell. */
function makeCanvas(levels) {
  const canvas = element('canvas');
  canvas.width = levels[0].length;
  canvas.height = levels.length;
  const context = canvas.getContext('2d');
  levels.forEach((row, y) => row.forEach((level, x) => {
    if (level < 0) return;
    context.fillStyle = rgb(ramp(strengthOf(logOfBar(level + 0.5))));
    context.fillRect(x, y, 1, 1);
  }));
  return canvas;
}

function drawHeatMap(t) {
  const map = t.heat_map;
  $('places').hidden = !map;
  $('no-places').hidden = Boolean(map) || !t.histogram;
  if (!map) return;
  const levels = levelsOf(map.cells), hottest = levels.flat().reduce((a, b) => Math.max(a, b), -1);
  const columns = t.shape.at(-1) ?? 1, rowAxes = placesOfRow(t, 0).map(place => place.name).join(', ');
  heatMap.box.style.height = `${Math.min(Math.max(levels.length * 14, 70), 384)}px`;
  heatMap.box.replaceChildren(makeCanvas(levels), heatMap.cursor);
  heatMap.box.setAttribute('aria-label', 'Heat map of differences; arrow keys move over the cells');
  $('row-axis').textContent = rowAxes;
  $('column-axis').textContent = map.axes.at(-1) ?? '';
  $('last-column').textContent = columns - 1;
  Object.assign(heatMap, {rows: levels.length, columns: levels[0].length, tell: (row, column) => cellText(t, levels, row, column)});
  const row = levels.findIndex(cells => cells.includes(hottest));
  moveCursor(heatMap, row, levels[row].indexOf(hottest));
}
)js";

}  // namespace t5gemma2::report_detail
