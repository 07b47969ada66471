// ---- what is selected ----

const last = data.first + data.shown - 1;
const state = {word: data.first, layer: -1, head: -1, hovered: null};
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

function select(change) {
  Object.assign(state, {hovered: null}, change);
  state.word = clamp(state.word, data.first, last);
  state.layer = clamp(state.layer, -1, layers - 1);
  state.head = clamp(state.head, -1, heads - 1);
  try {
    history.replaceState(null, '', `#word=${state.word - data.first + 1}&layer=${state.layer + 1}&head=${state.head + 1}`);
  } catch { /* not allowed everywhere, and only a comfort */ }
  draw();
}

/** #word=3&layer=2&head=1; layer and head 0 are all of them. */
function stateOfAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name, standard) => Number.parseInt(address.get(name), 10) || standard;
  return {word: data.first + number('word', 1) - 1, layer: number('layer', 0) - 1, head: number('head', 0) - 1};
}

// ---- making the page's elements, once ----

function element(tag, name = '', text = '') {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

/** Spaces and line breaks that a person would not see. */
function visible(text) {
  const shown = text.replace(/\n/g, '↵').replace(/\t/g, '⇥');
  return shown.trim() === '' ? shown.replace(/ /g, '␣') : shown.trim();
}

const percent = x => x < 0.00005 ? '0 %' : (100 * x).toFixed(x < 0.01 ? 2 : 1) + ' %';
const nameOf = part => part === own ? 'own past' : part === 0 ? (parts > 2 ? 'prompt text' : 'prompt') : parts > 3 ? `image ${part}` : 'image';
const classOf = part => part === own ? 'own' : part === 0 ? 'prompt' : 'image-part';
const partsShown = promptSize === 0 ? [own] : [own, ...Array(own).keys()];

function makeWord(word, number) {
  const looked = number >= data.first && number <= last;
  const made = element(looked ? 'button' : 'span', 'word', visible(word.text));
  made.classList.toggle('given', number < data.made && data.made < data.words.length);
  made.classList.toggle('special', word.kind === 'special');
  if (looked) {
    made.append(makeBar());
    made.tabIndex = -1;
    made.onmouseenter = () => { state.hovered = number; draw(); };
    made.onmouseleave = () => { state.hovered = null; draw(); };
    made.onclick = () => select({word: number});
  }
  return made;
}

function makeBar() {
  const bar = element('span', 'bar');
  for (const part of partsShown) bar.append(element('i', classOf(part)));
  return bar;
}

function makeWords() {
  return data.words.map((word, number) => {
    const made = makeWord(word, number);
    $('words').append(made);
    if (word.text.endsWith('\n')) $('words').append(element('br'));
    return made;
  });
}

function makeTokens() {
  return data.prompt.map(piece => {
    const made = element('span', `token ${piece.kind}`, visible(piece.text));
    if (/^ ./.test(piece.text)) $('prompt').append(' ');
    $('prompt').append(made);
    if (piece.text.endsWith('\n')) $('prompt').append(element('br'));
    return made;
  });
}

/** One figure for each image piece of the prompt: the picture under a canvas of one pixel a token. */
function makePicture(image, number) {
  const figure = element('figure'), frame = element('div', 'picture'), picture = element('img');
  const canvas = element('canvas'), caption = element('figcaption'), share = element('span'), cell = element('span');
  picture.src = image.source;
  picture.width = image.width;
  picture.height = image.height;
  picture.alt = `image ${number + 1}: ${image.name}`;
  canvas.width = canvas.height = gridSide;
  frame.style.setProperty('--aspect', image.width / image.height);
  frame.append(picture, canvas);
  caption.append(share, cell);
  figure.append(frame, caption);
  $('pictures').append(figure);
  const made = {canvas, share, cell, name: picture.alt, over: null};
  frame.onmousemove = event => { made.over = cellAt(canvas, event); drawCell(made, number); };
  frame.onmouseleave = () => { made.over = null; drawCell(made, number); };
  return made;
}

function cellAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const at = (distance, length) => clamp(Math.floor(distance / length * gridSide), 0, gridSide - 1);
  return {row: at(event.clientY - box.top, box.height), column: at(event.clientX - box.left, box.width)};
}

function makeMap() {
  const map = $('map'), cells = [];
  map.style.gridTemplateColumns = `1.4rem repeat(${layers}, minmax(0, 3rem))`;
  for (let head = 0; head < heads; ++head) {
    map.append(element('span', '', head + 1));
    for (let layer = 0; layer < layers; ++layer) {
      const cell = element('button');
      cell.tabIndex = -1;
      cell.onclick = () => select({layer, head});
      map.append(cell);
      cells.push({cell, layer, head});
    }
  }
  map.append(element('span'));
  data.layers.forEach((type, layer) => map.append(element('span', type, layer + 1)));
  const note = element('p', 'soft', 'Bold layers are global: only there does the decoder see all of its own past.');
  if (data.layers.includes('global')) $('map-card').append(note);
  return cells;
}

function makeSelect(id, count, all, nameOfItem) {
  $(id).append(new Option(all, -1));
  for (let i = 0; i < count; ++i) $(id).append(new Option(nameOfItem(i), i));
  $(id).onchange = () => select({[id]: Number($(id).value)});
}

// ---- drawing the state ----

/** The heat map's colours from little (0) to much (1): red, green, blue, opacity. */
const ramp = [[10, 12, 38, 0.62], [130, 26, 96, 0.5], [255, 205, 70, 0.55]];
function colour(heat) {
  const at = clamp(heat, 0, 1) * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2);
  const mixed = ramp[low].map((value, i) => value + (ramp[low + 1][i] - value) * (at - low));
  return `rgb(${mixed[0]} ${mixed[1]} ${mixed[2]} / ${mixed[3]})`;
}

/** The layers and heads that are shown. */
function where() {
  const one = (name, selected) => selected < 0 ? `all ${name}s` : `${name} ${selected + 1}`;
  return `${one('layer', state.layer)}, ${one('head', state.head)}`;
}

function drawBar(bar, shares) {
  partsShown.forEach((part, i) => bar.children[i].style.width = 100 * shares[part] + '%');
}

function drawShare(word, shares) {
  const key = element('div', 'key'), bar = makeBar();
  const title = element('h2', '', `Where “${visible(data.words[word].text)}” came from: one softmax, ${where()}`);
  drawBar(bar, shares);
  for (const part of partsShown) {
    const entry = element('span');
    entry.append(element('i', classOf(part)), `${nameOf(part)} ${percent(shares[part])}`);
    key.append(entry);
  }
  $('share').replaceChildren(title, bar, key);
}

/** Backgrounds of words or tokens; the largest weight, special pieces and images aside, gets the full colour. */
function drawHeat(elements, pieces, weights, rampId, colourName) {
  const ordinary = weights.filter((_, i) => pieces[i].kind === 'text');
  const full = Math.max(...(ordinary.some(x => x > 0) ? ordinary : weights));
  elements.forEach((made, i) => {
    made.style.setProperty('--heat', full > 0 ? Math.sqrt(Math.min(weights[i] / full, 1)).toFixed(3) : 0);
    made.title = `${percent(weights[i])} of the softmax`;
  });
  const bar = element('i');
  const stops = [0, .1, .25, .5, 1].map(x => `rgb(var(--${colourName}) / ${.7 * Math.sqrt(x)}) ${100 * x}%`);
  bar.style.background = `linear-gradient(to right, ${stops})`;
  $(rampId).replaceChildren('0', bar, `${percent(full)} or more`);
}

function drawTokens(weights, shares) {
  const sum = piece => weights.slice(piece.first, piece.first + piece.size).reduce((a, b) => a + b, 0);
  drawHeat(tokens, data.prompt, data.prompt.map(sum), 'prompt-ramp', 'prompt');
  tokens.filter((_, i) => data.prompt[i].kind === 'image').forEach((token, number) => {
    token.style.setProperty('--heat', shares[number + 1].toFixed(3));
    token.textContent = `image ${number + 1}: ${percent(shares[number + 1])}`;
  });
}

function drawWords(shown, weights) {
  drawHeat(words, data.words, [...weights.subarray(promptSize)], 'words-ramp', 'own');
  words.forEach((made, number) => {
    if (number < data.first || number > last) return;
    made.classList.toggle('selected', number === shown);
    made.tabIndex = number === state.word ? 0 : -1;
    const shares = sharesOf(number, state.layer, state.head);
    drawBar(made.lastChild, shares);
    made.setAttribute('aria-label', `${visible(data.words[number].text)}: own past ${percent(shares[own])}`);
    number === shown ? made.setAttribute('aria-current', 'true') : made.removeAttribute('aria-current');
  });
}

/** All pictures with one scale, from the smallest weight to the 98th of a hundred, or half the largest where that is more:
 *  of few squares with one bright one, the others stay dark. */
function drawPictures(weights, shares) {
  const cells = data.prompt.filter(piece => piece.kind === 'image').map(piece => weights.slice(piece.first, piece.first + piece.size));
  const sorted = cells.flatMap(values => [...values]).sort((a, b) => a - b);
  const low = sorted[0], high = Math.max(sorted[Math.floor(0.98 * (sorted.length - 1))], sorted.at(-1) / 2);
  pictures.forEach((picture, number) => {
    const context = picture.canvas.getContext('2d');
    context.clearRect(0, 0, gridSide, gridSide);
    cells[number].forEach((value, i) => {
      context.fillStyle = colour(high > low ? (value - low) / (high - low) : 0);
      context.fillRect(i % gridSide, Math.floor(i / gridSide), 1, 1);
    });
    picture.share.textContent = `${picture.name} — ${percent(shares[number + 1])}`;
    picture.weights = cells[number];
    drawCell(picture, number);
  });
  const bar = element('i');
  bar.style.background = `linear-gradient(to right, ${[0, .25, .5, .75, 1].map(colour)}), #fff`;
  $('picture-ramp').replaceChildren(percent(low), bar, `${percent(high)} a square, or more`);
}

function drawCell(picture) {
  const at = picture.over;
  picture.cell.textContent =
    at ? `row ${at.row + 1}, column ${at.column + 1}: ${percent(picture.weights[at.row * gridSide + at.column])}` : '';
}

function drawMap(word) {
  for (const {cell, layer, head} of map) {
    const encoder = 1 - sharesOf(word, layer, head)[own];
    cell.style.setProperty('--heat', encoder.toFixed(3));
    cell.title = `layer ${layer + 1} (${data.layers[layer]}), head ${head + 1}: ${percent(encoder)}`;
    cell.setAttribute('aria-label', cell.title);
    const of = (selected, one) => selected < 0 || selected === one;
    const average = state.layer < 0 && state.head < 0;
    cell.classList.toggle('selected', !average && of(state.layer, layer) && of(state.head, head));
  }
}

function draw() {
  const word = state.hovered ?? state.word;
  const weights = weightsOf(word, state.layer, state.head), shares = sharesOf(word, state.layer, state.head);
  $('position').textContent = `word ${state.word - data.first + 1} of ${data.shown}`;
  $('layer').value = state.layer;
  $('head').value = state.head;
  drawShare(word, shares);
  drawWords(word, weights);
  if (promptSize > 0) drawTokens(weights, shares);
  if (pictures.length > 0) drawPictures(weights, shares);
  if (promptSize > 0) drawMap(word);
}

// ---- keys ----

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === 'SELECT') return;
  const step = {ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1}[event.key];
  if (event.key === 'Escape') select({layer: -1, head: -1});
  else if (event.key === 'Home') select({word: data.first});
  else if (event.key === 'End') select({word: last});
  else if (!step) return;
  else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') select({word: state.word + step});
  else if (event.shiftKey) select({head: state.head + step});
  else select({layer: state.layer + step});
  event.preventDefault();
  if (document.activeElement.classList.contains('word')) words[state.word].focus();
}

// ---- start ----

function about() {
  const what = data.made < data.words.length ? 'wrote' : 'was given';
  const missing = data.words.length - 1 - last;
  return `${data.model} ${what} the words below. Merged attention is one softmax over the decoder's own past and the ` +
    `encoder's output: for each word, this is where it went, averaged over layers and heads or in one of them. ` +
    (missing > 0 ? `The last ${missing} words are left out: the page would be too large.` : '');
}

$('about').textContent = about();
const words = makeWords(), tokens = makeTokens(), pictures = data.images.map(makePicture);
const map = promptSize > 0 ? makeMap() : [];
makeSelect('layer', layers, 'all', i => `${i + 1}, ${data.layers[i]}`);
makeSelect('head', heads, 'all', i => i + 1);
if (pictures.length > 0) {
  document.querySelector('main').classList.add('with-images');
  const legend = element('div', 'ramp');
  legend.id = 'picture-ramp';
  $('pictures').lastChild.append(legend);
}
$('pictures').hidden = $('heat-label').hidden = pictures.length === 0;
$('prompt-card').hidden = $('map-card').hidden = promptSize === 0;
$('back').onclick = () => select({word: state.word - 1});
$('on').onclick = () => select({word: state.word + 1});
$('reset').onclick = () => select({layer: -1, head: -1});
$('heat').onchange = () => document.body.classList.toggle('no-heat', !$('heat').checked);
addEventListener('keydown', onKey);
addEventListener('hashchange', () => select(stateOfAddress()));
select(stateOfAddress());
