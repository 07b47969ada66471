// ---- the shares of one softmax: the bar, and the map of layers and heads ----

/** The text for the layers and heads that are shown. */
function where() {
  const one = (name, selected) => selected < 0 ? `all ${name}s` : `${name} ${selected}`;
  return `${one('layer', state.layer)}, ${one('head', state.head)}`;
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

function makeMap() {
  const map = $('map'), cells = [];
  map.style.gridTemplateColumns = `1.4rem repeat(${layers}, minmax(0, 3rem))`;
  for (let head = 0; head < heads; ++head) {
    map.append(element('span', '', head));
    for (let layer = 0; layer < layers; ++layer) {
      const cell = element('button');
      cell.tabIndex = -1;
      cell.onclick = () => select({layer, head});
      map.append(cell);
      cells.push({cell, layer, head});
    }
  }
  map.append(element('span'));
  data.layers.forEach((type, layer) => map.append(element('span', type, layer)));
  const note = 'Pale is none, full is all. ' +
    (data.layers.includes('global') ? 'Bold layers are global: only there does the decoder see all of its own past.' : '');
  $('map-card').append(element('p', 'soft', note));
  return cells;
}

function drawMap(word) {
  for (const {cell, layer, head} of map) {
    const encoder = 1 - sharesOf(word, layer, head)[own];
    cell.style.setProperty('--heat', encoder.toFixed(3));
    cell.title = `layer ${layer} (${data.layers[layer]}), head ${head}: ${percent(encoder)}`;
    cell.setAttribute('aria-label', cell.title);
    const of = (selected, one) => selected < 0 || selected === one;
    const average = state.layer < 0 && state.head < 0;
    cell.classList.toggle('selected', !average && of(state.layer, layer) && of(state.head, head));
  }
}
