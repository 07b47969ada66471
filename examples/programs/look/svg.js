// ---- the page as an SVG file: every box, text, image and square where the browser has put it ----

const svgNamespace = 'http://www.w3.org/2000/svg';

function svgElement(tag, attributes, text = '') {
  const made = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]/g, '\ufffd');  // XML has no such characters
  return made;
}

const rounded = x => Math.round(100 * x) / 100;

/** A CSS colour as attributes of SVG, which has no opacity in a colour: {fill, 'fill-opacity'}; null for a transparent one. */
function paint(property, colour) {
  const [red, green, blue, opacity = 1] = colour.match(/[\d.]+(?:e-?\d+)?/g).map(Number);
  return opacity > 0 ? {[property]: `rgb(${red},${green},${blue})`, [`${property}-opacity`]: opacity} : null;
}

/** The position and size of a box on the page, reduced by `inset` on each side. */
function place(box, inset = 0) {
  return {x: rounded(box.left + scrollX + inset), y: rounded(box.top + scrollY + inset),
          width: rounded(Math.max(0, box.width - 2 * inset)), height: rounded(Math.max(0, box.height - 2 * inset))};
}

/** The background, border and outline of an element. */
function boxesOf(made, style) {
  const box = made.getBoundingClientRect(), boxes = [], rx = Number.parseFloat(style.borderTopLeftRadius) || 0;
  const fill = paint('fill', style.backgroundColor);
  const edges = rx > 0 ? {rx} : {'shape-rendering': 'crispEdges'};  // no seam between neighbours
  if (fill) boxes.push(svgElement('rect', {...place(box), ...edges, ...fill}));
  const frame = (width, kind, colour, inset) => {
    const dashes = kind === 'dashed' ? {'stroke-dasharray': '4 3'} : {};
    if (kind !== 'none' && width > 0)
      boxes.push(svgElement('rect', {...place(box, inset), rx, fill: 'none', 'stroke-width': width, ...dashes, ...paint('stroke', colour)}));
  };
  const border = Number.parseFloat(style.borderTopWidth), outline = Number.parseFloat(style.outlineWidth);
  frame(border, style.borderTopStyle, style.borderTopColor, border / 2);
  if (style.outlineStyle !== 'auto')
    frame(outline, style.outlineStyle, style.outlineColor, -outline / 2 - Number.parseFloat(style.outlineOffset));
  return boxes;
}

/** The lines of a text node as the browser has broken it: {text, left, top, right, bottom}. */
function linesOf(node) {
  const lines = [], range = document.createRange();
  let at = 0, spaces = '';
  for (const character of node.data) {
    range.setStart(node, at);
    range.setEnd(node, at += character.length);
    if (character.trim() === '') { spaces += ' '; continue; }  // counts only between two others of a line
    const {left, top, right, bottom} = range.getBoundingClientRect(), line = lines.at(-1);
    if (line && Math.abs(line.top - top) < 2)
      Object.assign(line, {text: line.text + spaces + character, left: Math.min(line.left, left), right: Math.max(line.right, right)});
    else
      lines.push({text: character, left, top, right, bottom});
    spaces = '';
  }
  return lines;
}

function textsOf(node, style) {
  const context = document.createElement('canvas').getContext('2d');
  context.font = style.font;
  const {fontBoundingBoxAscent: ascent, fontBoundingBoxDescent: descent} = context.measureText('x');
  return linesOf(node).map(line => svgElement('text', {
    x: rounded(line.left + scrollX), y: rounded(line.top + scrollY + (line.bottom - line.top) * ascent / (ascent + descent)),
    textLength: rounded(line.right - line.left), lengthAdjust: 'spacingAndGlyphs', 'font-family': style.fontFamily,
    'font-size': style.fontSize, 'font-weight': style.fontWeight, 'font-style': style.fontStyle, style: 'white-space: pre',
    ...paint('fill', style.color),
  }, line.text));
}

/** The squares over an image, one for each pixel of the canvas. */
function squaresOfCanvas(canvas) {
  const box = canvas.getBoundingClientRect(), width = box.width / canvas.width, height = box.height / canvas.height;
  const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const squares = svgElement('g', {'shape-rendering': 'crispEdges'});
  for (let i = 0; i < canvas.width * canvas.height; ++i) {
    const [red, green, blue, opacity] = pixels.subarray(4 * i, 4 * i + 4);
    const square = {left: box.left + i % canvas.width * width, top: box.top + Math.floor(i / canvas.width) * height, width, height};
    squares.append(svgElement('rect', {...place(square), ...paint('fill', `${red} ${green} ${blue} ${opacity / 255}`)}));
  }
  return squares;
}

/** Draws the visible parts of an element into the SVG, from back to front. */
function drawIn(svg, made) {
  const style = getComputedStyle(made);
  if (style.display === 'none' || style.visibility === 'hidden') return;
  for (const box of boxesOf(made, style)) svg.append(box);
  if (made.tagName === 'IMG') svg.append(svgElement('image', {...place(made.getBoundingClientRect()), href: made.src, preserveAspectRatio: 'none'}));
  if (made.tagName === 'CANVAS') svg.append(squaresOfCanvas(made));
  for (const child of made.childNodes) {
    if (child.nodeType === Node.ELEMENT_NODE) drawIn(svg, child);
    if (child.nodeType === Node.TEXT_NODE)
      for (const text of textsOf(child, style)) svg.append(text);
  }
}

/** The page without its controls, as one SVG text. */
function svgOfPage() {
  document.body.classList.add('saving');
  const width = document.documentElement.clientWidth, height = document.body.getBoundingClientRect().height;
  const svg = svgElement('svg', {width, height, viewBox: `0 0 ${width} ${height}`});
  svg.append(svgElement('title', {}, document.title), svgElement('rect', {width, height, ...paint('fill', getComputedStyle(document.body).backgroundColor)}));
  for (const part of ['header', 'main']) drawIn(svg, document.querySelector(part));
  document.body.classList.remove('saving');
  return new XMLSerializer().serializeToString(svg);
}

function saveSvg() {
  const link = element('a');
  link.download = `look${addressOfState().replace(/[#&]/g, '-').replace(/=/g, '-')}.svg`;
  link.href = URL.createObjectURL(new Blob([svgOfPage()], {type: 'image/svg+xml'}));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
