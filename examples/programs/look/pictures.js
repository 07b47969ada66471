// ---- pictures under the grid of their tokens ----

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

function drawPictures(squares, shares, full) {
  pictures.forEach((picture, number) => {
    const context = picture.canvas.getContext('2d', {willReadFrequently: true});
    context.clearRect(0, 0, gridSide, gridSide);
    squares[number].forEach((weight, i) => {
      context.fillStyle = pictureColour(heatOf(weight, full));
      context.fillRect(i % gridSide, Math.floor(i / gridSide), 1, 1);
    });
    picture.share.textContent = `${picture.name} — ${percent(shares[number + 1])}`;
    picture.weights = squares[number];
    drawCell(picture);
  });
}

function drawCell(picture) {
  const at = picture.over;
  picture.cell.textContent =
    at ? `row ${at.row + 1}, column ${at.column + 1}: ${percent(picture.weights[at.row * gridSide + at.column])}` : '';
}
