// ---- images under the grid of their tokens ----

/** One figure for each image piece of the prompt: the image under a canvas with a pixel for each token. */
function makeImage(image, number) {
  const figure = element('figure'), frame = element('div', 'image-frame'), shown = element('img');
  const canvas = element('canvas'), caption = element('figcaption'), share = element('span'), cell = element('span');
  shown.src = image.source;
  shown.width = image.width;
  shown.height = image.height;
  shown.alt = `image ${number + 1}: ${image.name}`;
  canvas.width = canvas.height = gridSide;
  frame.style.setProperty('--aspect', image.width / image.height);
  frame.append(shown, canvas);
  caption.append(share, cell);
  figure.append(frame, caption);
  $('images').append(figure);
  const made = {canvas, share, cell, name: shown.alt, over: null};
  frame.onmousemove = event => { made.over = cellAt(canvas, event); drawCell(made); };
  frame.onmouseleave = () => { made.over = null; drawCell(made); };
  return made;
}

function cellAt(canvas, event) {
  const box = canvas.getBoundingClientRect();
  const at = (distance, length) => clamp(Math.floor(distance / length * gridSide), 0, gridSide - 1);
  return {row: at(event.clientY - box.top, box.height), column: at(event.clientX - box.left, box.width)};
}

/** The weights of each image's tokens. */
const squaresOf = weights => data.prompt.filter(piece => piece.kind === 'image')
  .map(piece => weights.slice(piece.first, piece.first + piece.size));

function drawImages(squares, shares, full) {
  images.forEach((image, number) => {
    const context = image.canvas.getContext('2d', {willReadFrequently: true});
    context.clearRect(0, 0, gridSide, gridSide);
    squares[number].forEach((weight, i) => {
      context.fillStyle = imageColour(heatOf(weight, full));
      context.fillRect(i % gridSide, Math.floor(i / gridSide), 1, 1);
    });
    image.share.textContent = `${image.name} — ${percent(shares[number + 1])}`;
    image.weights = squares[number];
    drawCell(image);
  });
}

function drawCell(image) {
  const at = image.over;
  image.cell.textContent =
    at ? `row ${at.row + 1}, column ${at.column + 1}: ${percent(image.weights[at.row * gridSide + at.column])}` : '';
}
