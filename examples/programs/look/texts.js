// ---- the decoder's words and the prompt's tokens ----

function element(tag, name = '', text = '') {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

/** Replaces the content of the container by `nodes`, which may be more than the arguments of one call. */
function replaceContent(container, nodes) {
  const fragment = document.createDocumentFragment();
  for (const node of nodes) fragment.append(node);
  container.replaceChildren(fragment);
}

/** The text with signs for line breaks, tabs, and spaces that would be invisible. */
function visible(text) {
  const shown = text.replace(/\n/g, '↵').replace(/\t/g, '⇥');
  return shown.trim() === '' ? shown.replace(/ /g, '␣') : shown.trim();
}

/** A token's text with signs for its outer spaces: "␣hen" and "hen" are two tokens. */
const exact = text => visible(text.replace(/^ +| +$/g, spaces => '␣'.repeat(spaces.length)));

const nameOf = part => part === own ? 'own past' : part === 0 ? (parts > 2 ? 'prompt text' : 'prompt') : parts > 3 ? `image ${part}` : 'image';
const classOf = part => part === own ? 'own' : part === 0 ? 'prompt' : 'image-part';
const partsShown = promptSize === 0 ? [own] : [own, ...Array(own).keys()];
const isGiven = number => number < data.made && data.made < data.words.length;

function makeBar() {
  const bar = element('span', 'bar');
  for (const part of partsShown) bar.append(element('i', classOf(part)));
  return bar;
}

function drawBar(bar, shares) {
  partsShown.forEach((part, i) => bar.children[i].style.width = 100 * shares[part] + '%');
}

function makeWord(word, number) {
  const looked = number >= data.first && number <= last;
  const made = element(looked ? 'button' : 'span', 'word', visible(word.text));
  made.classList.toggle('given', isGiven(number));
  made.classList.toggle('special', word.kind === 'special');
  made.append(element('span', 'id', word.ids.join(' ')));
  if (looked) {
    made.append(makeBar());
    made.tabIndex = -1;
    made.onmouseenter = () => { state.hovered = number; draw(); };
    made.onmouseleave = () => { state.hovered = null; draw(); };
    made.onclick = () => select({word: number});
  }
  return made;
}

function makeToken(piece) {
  const made = element('span', `token ${piece.kind}`, piece.kind === 'image' ? 'image' : visible(piece.text));
  made.append(element('span', 'id', piece.ids.join(' ')));
  return made;
}

/** Draws the backgrounds of words or tokens. */
function drawHeat(elements, pieces, weights, full) {
  elements.forEach((made, i) => {
    made.style.setProperty('--heat', heatOf(weights[i], pieces[i].kind === 'image' ? 1 : full).toFixed(3));
    made.classList.toggle('sink', isSink(pieces[i], weights[i]));
    made.title = `${percent(weights[i])} of the softmax, id ${pieces[i].ids.join(' ')}`;
  });
}

function drawImageTokens(shares) {
  tokens.filter((_, i) => data.prompt[i].kind === 'image').forEach((token, number) => {
    token.firstChild.data = `image ${number + 1}: ${percent(shares[number + 1])}`;
  });
}

function drawWords(shown) {
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

/** The explanation of the marks that appear on the page. */
function reading() {
  const line = ['own past', ...(promptSize ? ['prompt'] : []), ...(images.length ? ['image'] : [])].join(', ');
  const italics = data.words.some((_, number) => isGiven(number)) ? 'Italics: given to the decoder, not written by it. ' : '';
  return `Background: the share that the chosen word took from here. Line under a word: the shares of that word's own softmax ` +
    `(${line}). ${italics}Typewriter letters: a special token. Dashed frame: an attention sink, a special token that ` +
    `takes the share (here 10 % or more) that a head has no use for elsewhere: it says little about meaning.`;
}

// ---- attention sinks ----

const largeShare = 0.1;
const isSink = (piece, weight) => piece.kind === 'special' && weight >= largeShare;

/** Shows the special tokens with a large share; where there is none, the share of <bos>, if there is one. */
function drawSinks(ofWords, ofPrompt) {
  const named = (side, pieces, weights) => pieces.map((piece, i) => ({piece, weight: weights[i], side}));
  const special = [...named("decoder's", data.words, ofWords), ...named("prompt's", data.prompt, ofPrompt)]
    .filter(one => one.piece.kind === 'special');
  const sinks = special.filter(one => isSink(one.piece, one.weight)).sort((a, b) => b.weight - a.weight).slice(0, 3);
  const starts = special.filter(one => one.piece.first === 0);
  const told = list => list.map(one => `${one.side} ${one.piece.text} ${percent(one.weight)}`).join(', ');
  $('sinks').textContent = sinks.length > 0 ? `Attention sink${sinks.length > 1 ? 's' : ''}: ${told(sinks)}` :
    starts.length > 0 ? `No attention sink here: ${told(starts)}` : '';
}

// ---- probabilities ----

/** A token's row: rank, text and id, probability, and a bar for it. */
function predictionRow(token, rank, isWritten) {
  const row = element('tr', isWritten ? 'written' : ''), text = element('td', '', exact(token.text)), bar = element('td', 'chance');
  text.append(element('span', 'id', token.id));
  bar.append(element('i'));
  bar.firstChild.style.width = `${100 * token.probability}%`;
  row.append(element('td', '', rank), text, element('td', '', percent(token.probability)), bar);
  return row;
}

/** The likeliest tokens; the token of the text comes last when it is none of them. */
function predictionTable(token) {
  const table = element('table');
  token.best.forEach((one, i) => table.append(predictionRow(one, i + 1, one.id === token.id)));
  if (token.best.every(one => one.id !== token.id)) table.append(predictionRow(token, token.rank, true));
  return table;
}

function drawPredictions(word) {
  const shown = data.predictions[word - data.first];
  const chance = shown.reduce((product, token) => product * token.probability, 1);
  document.querySelector('#tokens-card h2').textContent = `How likely “${visible(data.words[word].text)}” was: ${percent(chance)}` +
    (shown.length > 1 ? `, the product of its ${shown.length} tokens` : '');
  replaceContent($('predictions'), shown.map(predictionTable));
}

// ---- long texts are folded ----

const fold = {from: 160, ends: 40, around: 4, strong: 0.01, most: 8, least: 0.001, smallest: 8};
const given = data.words.slice(0, data.first);
const canFold = data.prompt.length >= fold.from || given.length >= fold.from;

/** Which pieces of a long text are shown: its ends, its images, and those with a large weight, with their neighbours. */
function keptOf(pieces, weights) {
  const kept = new Array(pieces.length).fill(state.whole || pieces.length < fold.from);
  const keep = (first, end) => kept.fill(true, Math.max(first, 0), end);
  keep(0, fold.ends);
  keep(pieces.length - fold.ends, pieces.length);
  const largest = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, fold.most);
  pieces.forEach((piece, i) => {
    const looked = weights[i] >= fold.strong || (weights[i] >= fold.least && largest.includes(i));
    if (looked || piece.kind === 'image') keep(i - fold.around, i + fold.around + 1);
  });
  for (let i = 0, end; i < kept.length; i = end) {
    for (end = i + 1; end < kept.length && kept[end] === kept[i];) ++end;
    if (!kept[i] && end - i < fold.smallest) keep(i, end);
  }
  return kept;
}

/** Draws the decoder's words before those with weights. While the pointer is over a word, the same ones stay shown. */
let keptGiven;
function drawGiven(weights) {
  const ofGiven = weights.slice(0, data.first);
  if (state.hovered === null) keptGiven = keptOf(given, ofGiven);
  layOut($('given'), words.slice(0, data.first), given, ofGiven, keptGiven, 'words');
}

/** A button in place of `count` hidden pieces. */
function makeGap(count, share, unit) {
  const gap = element('button', 'gap', `⋯ ${count} ${unit}, ${percent(share)} ⋯`);
  gap.title = 'show all';
  gap.onclick = () => select({whole: true});
  return gap;
}

/** Fills the container with the elements of `pieces` as a text; runs that are not kept become gaps. */
function layOut(container, elements, pieces, weights, kept, unit) {
  const isWhole = kept.every(Boolean), nodes = [];
  if (isWhole && container.isWhole) return;
  container.isWhole = isWhole;
  for (let i = 0, end; i < pieces.length; i = end) {
    for (end = i + 1; end < pieces.length && kept[end] === kept[i];) ++end;
    if (!kept[i]) nodes.push(makeGap(end - i, weights.slice(i, end).reduce((a, b) => a + b, 0), unit));
    for (let at = i; kept[i] && at < end; ++at) {
      if (/^ ./.test(pieces[at].text)) nodes.push(' ');
      nodes.push(elements[at]);
      if (pieces[at].text.endsWith('\n')) nodes.push(element('br'));
    }
  }
  replaceContent(container, nodes);
}
