// ---- the selection, which is part of the page's address ----

const last = data.first + data.shown - 1;
const switches = ['relative', 'ids', 'plain', 'whole'];
const state = {word: data.first, layer: -1, head: -1, hovered: null, relative: false, ids: false, plain: false, whole: false};

function select(change) {
  Object.assign(state, {hovered: null}, change);
  state.word = clamp(state.word, data.first, last);
  state.layer = clamp(state.layer, -1, layers - 1);
  state.head = clamp(state.head, -1, heads - 1);
  try {
    history.replaceState(null, '', addressOfState());
  } catch { /* not allowed everywhere, and not needed */ }
  draw();
}

/** #word=3&layer=1&head=all&relative=on: words count from 1, layers and heads from 0; only switches that are on appear. */
function addressOfState() {
  const name = number => number < 0 ? 'all' : number;
  return `#word=${state.word - data.first + 1}&layer=${name(state.layer)}&head=${name(state.head)}` +
    switches.filter(one => state[one]).map(one => `&${one}=on`).join('');
}

function stateOfAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name, standard) => /^\d+$/.test(address.get(name)) ? Number(address.get(name)) : standard;
  const on = Object.fromEntries(switches.map(one => [one, address.get(one) === 'on']));
  return {word: data.first + number('word', 1) - 1, layer: number('layer', -1), head: number('head', -1), ...on};
}

// ---- drawing ----

function drawControls() {
  $('position').textContent = `word ${state.word - data.first + 1} of ${data.shown}`;
  $('layer').value = state.layer;
  $('head').value = state.head;
  for (const one of ['relative', 'ids', 'plain']) $(one).checked = state[one];
  document.body.classList.toggle('with-ids', state.ids);
  document.body.classList.toggle('plain', state.plain);
  $('whole').textContent = state.whole ? 'Fold the long text' : 'Show the whole text';
}

function draw() {
  const word = state.hovered ?? state.word;
  const weights = weightsOf(word, state.layer, state.head), shares = sharesOf(word, state.layer, state.head);
  const ofWords = [...weights.subarray(promptSize)], squares = squaresOf(weights);
  const ofPrompt = data.prompt.map(piece => weights.subarray(piece.first, piece.first + piece.size).reduce((a, b) => a + b, 0));
  const full = {own: largestOf(data.words, ofWords), prompt: largestOf(data.prompt, ofPrompt),
                squares: squares.flatMap(values => [...values]).reduce((a, b) => Math.max(a, b), 0)};
  drawControls();
  drawShare(word, shares);
  drawSinks(ofWords, ofPrompt);
  drawLegend(full);
  drawHeat(words, data.words, ofWords, full.own);
  drawGiven(ofWords);
  drawWords(word);
  drawPredictions(word);
  drawHeat(tokens, data.prompt, ofPrompt, full.prompt);
  drawImageTokens(shares);
  layOut($('prompt'), tokens, data.prompt, ofPrompt, keptOf(data.prompt, ofPrompt), 'tokens');
  drawImages(squares, shares, full.squares);
  drawMap(word);
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

function makeSelect(id, count, all, nameOfItem) {
  $(id).append(new Option(all, -1));
  for (let i = 0; i < count; ++i) $(id).append(new Option(nameOfItem(i), i));
  $(id).onchange = () => select({[id]: Number($(id).value)});
}

/** The words as a text. Those before the first with weights are in an element of their own, which can be folded. */
function placeWords() {
  const before = element('span');
  before.id = 'given';
  $('words').append(before);
  words.forEach((made, number) => {
    if (number < data.first) return;
    $('words').append(made);
    if (data.words[number].text.endsWith('\n')) $('words').append(element('br'));
  });
}

const words = data.words.map(makeWord), tokens = data.prompt.map(makeToken), images = data.images.map(makeImage);
const map = promptSize > 0 ? makeMap() : [], legend = makeLegend();
placeWords();
$('about').textContent = about();
$('reading').textContent = reading();
makeSelect('layer', layers, 'all', i => `${i}, ${data.layers[i]}`);
makeSelect('head', heads, 'all', i => i);
document.querySelector('main').classList.toggle('with-images', images.length > 0);
$('images').hidden = $('plain').parentElement.hidden = images.length === 0;
$('prompt-card').hidden = $('map-card').hidden = promptSize === 0;
$('whole').hidden = !canFold;
$('back').onclick = () => select({word: state.word - 1});
$('on').onclick = () => select({word: state.word + 1});
$('reset').onclick = () => select({layer: -1, head: -1});
for (const one of ['relative', 'ids', 'plain']) $(one).onchange = () => select({[one]: $(one).checked});
$('whole').onclick = () => select({whole: !state.whole});
$('save').onclick = saveSvg;
addEventListener('keydown', onKey);
addEventListener('hashchange', () => select(stateOfAddress()));
select(stateOfAddress());
