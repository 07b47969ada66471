// The script of report_html.hpp's page, last part: the tree of modules, the choice of a tensor, and the start.
#pragma once
#include <string_view>

namespace t5gemma2::report_detail {

inline constexpr std::string_view html_script_tree = R"js(
// ---- the tree: names split at '.'; what a module with parts returns is a row in it ----

const nodes = [];   // in the order of rows
const leaves = [];  // the nodes of tensors, in forward order

function makeNode(parent, part) {
  const node = {part, parent, children: [], byPart: new Map(), depth: parent ? parent.depth + 1 : 0, open: !parent, tensor: null};
  if (parent) parent.children.push(node);
  return node;
}

function makeTree() {
  const root = makeNode(null, ''), modules = new Set();
  for (const {name} of data.tensors)
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) modules.add(name.slice(0, dot));
  for (const tensor of data.tensors) {
    let node = root;
    for (const part of tensor.name.split('.')) {
      if (!node.byPart.has(part)) node.byPart.set(part, makeNode(node, part));
      node = node.byPart.get(part);
    }
    if (modules.has(tensor.name)) node = Object.assign(makeNode(node, 'output'), {isOutput: true});
    node.tensor = tensor;
    leaves.push(node);
  }
  return root;
}

const sizeOfError = t => errorOf(t) ?? -1;

/** Fills in what a row shows: the tensor with the largest error, how many are wrong, and the mark. */
function summarize(node) {
  node.children.forEach(summarize);
  const inIt = node.children.filter(child => child.worst);
  const worst = node.tensor ?? inIt.reduce((a, b) => sizeOfError(b.worst) > sizeOfError(a.worst) ? b : a).worst;
  const marks = node.tensor ? [markOf(node.tensor)] : inIt.map(child => child.mark);
  node.wrong = node.tensor ? Number(node.tensor.verdict !== 'ok') : inIt.reduce((sum, child) => sum + child.wrong, 0);
  node.mark = ['!', '~'].find(mark => marks.includes(mark)) ?? '';
  node.worst = worst;
}

function makeRow(node) {
  const row = element('div', 'row'), name = element('span', node.isOutput ? 'output' : '', node.part);
  const notes = element('span', 'kind', node.tensor || node.wrong === 0 ? '' : `${node.wrong} wrong`);
  const mark = element('b', 'mark', node.mark);
  mark.title = meaningOf[node.mark];
  row.setAttribute('role', 'treeitem');
  row.setAttribute('aria-level', node.depth);
  row.style.setProperty('--depth', node.depth);
  row.tabIndex = -1;
  name.append(mark);
  node.twisty = element('span', 'kind');
  node.twisty.ariaHidden = 'true';
  node.error = element('span', 'error');
  row.append(node.twisty, name, notes, node.error);
  row.onclick = () => activate(node);
  return row;
}

function makeRows(node) {
  if (node.parent) {
    nodes.push(node);
    node.row = makeRow(node);
    $('tree').append(node.row);
  }
  node.children.forEach(makeRows);
}

const isShown = node => !node.parent || (node.parent.open && isShown(node.parent));

function drawTree() {
  for (const node of nodes) {
    node.row.hidden = !isShown(node);
    node.row.tabIndex = node === focused ? 0 : -1;
    node.row.setAttribute('aria-selected', node === chosen);
    if (!node.tensor) node.row.setAttribute('aria-expanded', node.open);
    node.twisty.textContent = node.tensor ? '' : node.open ? '▾' : '▸';
  }
}

function drawColours() {
  ramp = makeRamp();
  for (const node of nodes) drawError(node.error, node.worst);
  if (chosen) drawTensor(chosen.tensor);
}

// ---- the choice ----

let chosen = null, focused = null;

/** Moves to a row; a tensor's is chosen with it. */
function moveTo(node) {
  for (let above = node.parent; above; above = above.parent) above.open = true;
  focused = node;
  const changes = node.tensor && node !== chosen;
  if (node.tensor) chosen = node;
  drawTree();
  if (changes) drawTensor(node.tensor);
}

/** Moves to a tensor, and the tree with it, without the page. */
function choose(node) {
  moveTo(node);
  const tree = $('tree');
  tree.scrollTop += node.row.getBoundingClientRect().top - tree.getBoundingClientRect().top - tree.clientHeight / 2;
}

function chooseByName(name) {
  const node = leaves.find(leaf => leaf.tensor.name === name);
  if (node) choose(node);
}

function activate(node) {
  if (!node.tensor) node.open = !node.open;
  moveTo(node);
  node.row.focus();
}

function onTreeKey(event) {
  if (!focused || event.ctrlKey || event.altKey || event.metaKey) return;
  const shown = nodes.filter(isShown), at = shown.indexOf(focused), closed = !focused.tensor && !focused.open;
  const targets = {
    ArrowDown: () => shown[at + 1], ArrowUp: () => shown[at - 1], Home: () => shown[0], End: () => shown.at(-1),
    ArrowRight: () => closed ? null : focused.children[0], ArrowLeft: () => focused.open ? null : focused.parent,
  };
  if (event.key === 'Enter' || event.key === ' ' || (event.key === 'ArrowRight' && closed) || (event.key === 'ArrowLeft' && focused.open))
    activate(focused);
  else if (!(event.key in targets)) return;
  else if (targets[event.key]()?.row) {
    moveTo(targets[event.key]());
    focused.row.focus();
  }
  event.preventDefault();
}

/** The first that is wrong by itself, or else the first that is wrong. */
const firstWrong = () => leaves.find(leaf => leaf.tensor.wrong_by_itself) ?? leaves.find(leaf => leaf.tensor.verdict !== 'ok');
const worstOf = () => leaves.reduce((a, b) => sizeOfError(b.tensor) > sizeOfError(a.tensor) ? b : a);

// ---- start ----

drawHead();
drawGuesses();
drawLists();
document.querySelector('main').hidden = data.tensors.length === 0;
$('marks').hidden = !data.tensors.some(t => 'own' in t);
if (data.tensors.length > 0) {
  const root = makeTree();
  summarize(root);
  makeRows(root);
  $('first').hidden = !firstWrong();
  $('first').onclick = () => choose(firstWrong());
  $('worst').onclick = () => choose(worstOf());
  $('tree').onkeydown = onTreeKey;
  choose(firstWrong() ?? worstOf());
  drawColours();
  matchMedia('(prefers-color-scheme: dark)').onchange = drawColours;
}
)js";

}  // namespace t5gemma2::report_detail
