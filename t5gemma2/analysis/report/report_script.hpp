// The script of report_html.hpp's page, first part: the data, colours, the verdict, guesses, and a tensor's measures.
#pragma once
#include <string_view>

namespace t5gemma2::report_detail {

inline constexpr std::string_view html_script = R"js('use strict';
// ---- the data: see report_json.hpp and report_html.hpp ----

const $ = id => document.getElementById(id);
const data = JSON.parse($('data').textContent);
const {ours, yours} = data.sides;

function element(tag, name = '', text = '') {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

/** A tensor's error; null where nothing was compared. JSON has null for what is not finite. */
const errorOf = t => 'relative' in t ? t.relative ?? Infinity : null;

/** '!' where it is wrong by itself, '~' where that comes from tensors before it. */
const markOf = t => t.wrong_by_itself ? '!' : t.verdict !== 'ok' && 'own' in t ? '~' : '';
const meaningOf = {'!': 'wrong by itself', '~': 'follows from what comes before', '': ''};

// ---- numbers as the text report writes them ----

const number = x => x === Infinity ? 'inf' : x === 0 ? '0' : x.toExponential(1).replace(/e([+-])(\d)$/, (_, sign, digit) => `e${sign}0${digit}`);
const shortNumber = (x, digits = 4) => x === null ? 'not finite' : String(Number(x.toPrecision(digits)));
const shapeText = shape => `[${shape.join(', ')}]`;
const counted = (count, what) => `${count} ${what}${count === 1 ? '' : 's'}`;

// ---- colours: one logarithmic scale from 1e-7 to 1 ----

const decades = 7;
const strengthOf = log10 => Math.min(Math.max(1 + log10 / decades, 0), 1);

function makeRamp() {
  const stops = getComputedStyle(document.documentElement).getPropertyValue('--ramp').split(',')
    .map(stop => stop.trim().slice(1).match(/../g).map(pair => parseInt(pair, 16)));
  return strength => {
    const at = strength * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
  };
}
let ramp = makeRamp();

/** Black or white, whichever is easier to read on this colour. */
function inkOn(colour) {
  const [red, green, blue] = colour.map(value => value / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000' : '#fff';
}

const rgb = colour => `rgb(${colour.join(' ')})`;

/** Shows a tensor's error: its number on its colour, or the verdict where there is no number. */
function drawError(made, t) {
  const error = errorOf(t), isNumber = error !== null && t.verdict !== 'NAN';
  made.textContent = isNumber ? number(error) : t.verdict;
  made.classList.toggle('word', !isNumber);
  const colour = isNumber ? ramp(strengthOf(Math.log10(error))) : null;
  made.style.background = colour ? rgb(colour) : '';
  made.style.color = colour ? inkOn(colour) : '';
}

// ---- the verdict, the guesses, and what one side alone has ----

function drawHead() {
  const verdict = data.passed ? 'PASSED' : 'FAILED';
  document.title = `${verdict}: ${data.summary}`;
  document.body.classList.toggle('passed', data.passed);
  $('verdict').textContent = `${verdict}:`;
  $('summary').textContent = data.summary;
  const lines = data.totals.replace(/\n +/g, ' ').trim().split('\n');  // it is folded for 80 columns
  $('totals').append(...lines.filter(line => line).map(line => element('p', '', line)));
}

function makeGuess(guess) {
  const box = element('div', 'guess'), why = element('p'), tensor = element('a', '', guess.tensor);
  tensor.href = '#chosen';
  tensor.onclick = () => chooseByName(guess.tensor);
  box.append(element('h2', '', `GUESS: ${guess.guess}${guess.where ? `, ${guess.where}` : ''}`));
  for (const other of guess.or) box.append(element('p', '', `or, the same numbers here: ${other}`));
  if (guess.with_it === null) why.append('Explains ', tensor, '.');
  else why.append(tensor, ` is off by ${number(guess.off_by ?? Infinity)}, with it by ${number(guess.with_it)}.`);
  box.append(why);
  if (guess.still_wrong > 0)
    box.append(element('p', '', `After that ${guess.still_wrong} tensors are still wrong by themselves.`));
  return box;
}

function drawGuesses() {
  $('guesses').append(...data.guesses.map(makeGuess));
  const wrong = data.tensors.some(t => t.verdict === 'OVER' || t.verdict === 'NAN');
  if (wrong && data.guesses.length === 0 && data.tensors.some(t => 'own' in t))
    $('guesses').append(element('div', 'guess', `None of ${data.guesses_tried} guesses makes the numbers agree.`));
}

function drawList(names, what) {
  if (names.length === 0) return;
  const list = element('details'), items = element('ul');
  items.append(...names.map(name => element('li', '', name)));
  list.append(element('summary', '', `${names.length} ${what}`), items);
  $('lists').append(list);
}

function drawLists() {
  const files = ours !== 'ours';
  drawList(data.not_in_file, files ? `in ${ours} alone` : 'of ours not in your file');
  drawList(data.not_ours, files ? `in ${yours} alone` : 'of yours have no counterpart here');
}

// ---- the chosen tensor ----

function judgementOf(t) {
  const own = 'own' in t ? `; computed from your tensors before it, it differs by ${number(t.own ?? Infinity)}` : '';
  const said = {
    ok: 'within the tolerance', OVER: 'over the tolerance', MISSING: 'the engine has no tensor of this name',
    SHAPE: `${ours} is ${shapeText(t.our_shape ?? [])}`, TYPE: 'its type cannot be compared', NAN: 'has numbers that are not finite',
  }[t.verdict];
  const mark = markOf(t), alone = t.statistics ? '; compared by mean, std, min and max alone' : '';
  return `${said}${mark ? `, ${meaningOf[mark]}` : ''}${own}${alone}`;
}

/** [what, number] of each measure. */
function measuresOf(t) {
  const rows = [['shape', shapeText(t.shape)]], add = (what, told) => rows.push([what, told]);
  if (t.name_in_file) add('in the file', t.name_in_file);
  if (errorOf(t) === null) return rows;
  add('max |diff|', t.max_difference === null ? 'not finite' : number(t.max_difference));
  add('relative', t.relative === null ? 'not finite' : number(t.relative));
  add('tolerance', number(t.tolerance));
  if ('truth_ratio' in t) add('distance to float64', `${shortNumber(t.truth_ratio, 3)} of the reference's, root mean square`);
  for (const name of t.statistics ? ['mean', 'std', 'min', 'max'] : [])
    add(name, `${ours} ${shortNumber(t.statistics.ours[name], 5)}, ${yours} ${shortNumber(t.statistics.yours[name], 5)}`);
  return t.histogram ? [...rows, ...measuresOfNumbers(t)] : rows;
}

function measuresOfNumbers(t) {
  const rows = t.shape.slice(0, -1).reduce((product, extent) => product * extent, 1);
  const told = [
    ['cosine', shortNumber(t.cosine, 6)],
    ['SNR', t.max_difference === 0 ? 'infinite' : t.snr_db === null ? 'not finite' : `${shortNumber(t.snr_db, 3)} dB`],
    ['units in the last place', `median ${t.median_ulp}, max ${t.max_ulp}`],
    ['worst', `${t.worst.place}: ${ours} ${shortNumber(t.worst.ours)}, ${yours} ${shortNumber(t.worst.yours)}`],
  ];
  if (t.wrong_rows > 0) told.push(['wrong rows', `${t.wrong_rows} of ${rows}${rows > 1 ? `, first ${t.first_wrong_row}` : ''}`]);
  if (t.wrong_heads && t.shape[1] > 1) told.push(['wrong heads', `${t.wrong_heads.join(', ')} (they are 0 to ${t.shape[1] - 1})`]);
  return told;
}

function drawTensor(t) {
  $('name').textContent = t.name;
  const error = element('span', 'error');
  drawError(error, t);
  $('judgement').replaceChildren(error, ' ', judgementOf(t));
  $('measures').replaceChildren(...measuresOf(t).flatMap(([what, told]) => [element('dt', '', what), element('dd', '', told)]));
  drawHistogram(t);
  drawHeatMap(t);
}
)js";

}  // namespace t5gemma2::report_detail
