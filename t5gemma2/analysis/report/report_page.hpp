// The page of report_html.hpp: its structure and its style.
#pragma once
#include <string_view>

namespace t5gemma2::report_detail {

inline constexpr std::string_view html_page = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Comparison of tensors</title>
<link rel="icon" href="data:,">
<style>
{{style}}</style>
</head>
<body>
<header>
  <h1><span id="verdict"></span> <span id="summary"></span></h1>
  <div id="totals"></div>
</header>
<div id="guesses"></div>
<main>
  <section id="modules">
    <h2 id="modules-title">Modules, in forward order</h2>
    <div class="buttons"><button id="first">First wrong</button> <button id="worst">Worst</button></div>
    <div id="tree" role="tree" aria-labelledby="modules-title"></div>
    <div id="legend">
      <p>Largest difference over the largest number; of a module, the largest in it</p>
      <div class="ramp"></div>
      <div class="ticks"><span>1e-07</span><span style="--at: 28.6%">1e-05</span><span style="--at: 57.1%">1e-03</span><span style="--at: 85.7%">0.1</span><span>1</span></div>
      <p id="marks"><b class="mark">!</b> wrong by itself · <b class="mark">~</b> follows from what comes before</p>
    </div>
  </section>
  <section id="chosen" aria-labelledby="name">
    <h2 id="name"></h2>
    <p id="judgement"></p>
    <dl id="measures"></dl>
    <figure id="differences">
      <h3>Differences</h3>
      <div class="frame">
        <span class="y-title">numbers, log scale</span>
        <div class="plot" id="histogram" role="application" tabindex="0" aria-describedby="histogram-told"></div>
        <div class="ticks" id="decades"></div>
        <span class="x-title">|difference| over the largest number · the line is the tolerance</span>
      </div>
      <output id="histogram-told" aria-live="polite"></output>
    </figure>
    <figure id="places">
      <h3>Where they lie</h3>
      <div class="frame">
        <span class="y-title" id="row-axis"></span>
        <div class="plot" id="heat-map" role="application" tabindex="0" aria-describedby="heat-map-told"></div>
        <div class="ticks"><span>0</span><span id="last-column"></span></div>
        <span class="x-title" id="column-axis"></span>
      </div>
      <output id="heat-map-told" aria-live="polite"></output>
      <p class="soft">Each cell has the colour of the largest difference in it; without a colour: all are equal.</p>
    </figure>
    <p class="soft" id="no-places">A heat map is here for each tensor that is wrong.</p>
  </section>
</main>
<div id="lists"></div>
<noscript>This page needs JavaScript.</noscript>
<script type="application/json" id="data">{{data}}</script>
<script>
{{script}}{{plots}}{{tree}}</script>
</body>
</html>
)html";

inline constexpr std::string_view html_style = R"css(:root {
  --page: #f6f6f3; --card: #fff; --ink: #1d2126; --soft: #565e68; --line: #d9dbd6; --good: #17663a; --bad: #a3231c;
  --ramp: #dfe7ee, #f4dc94, #f0a04b, #d8472b, #7d1232;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1d2026; --ink: #e9ebee; --soft: #a3abb5; --line: #363b44; --good: #7fd6a0; --bad: #ff9d92;
    --ramp: #33404f, #5f4a6e, #b2446c, #f2784b, #ffe69a;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1.2rem clamp(.8rem, 3vw, 2.4rem) 3rem; max-width: 96rem;
  background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 1.35rem; letter-spacing: -.01em; }
h2 { margin: 0 0 .5rem; font-size: 1rem; }
h3 { margin: 0 0 .4rem; font-size: .9rem; }
p, ul { margin: .25rem 0; }
.soft, #totals, #legend, .ticks, .x-title, .y-title { color: var(--soft); font-size: .85rem; }
section, .guess, details { padding: .9rem 1rem; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
button { padding: .15rem .6rem; background: var(--card); color: inherit; border: 1px solid var(--soft); border-radius: .4rem; font: inherit; cursor: pointer; }
:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
#verdict { color: var(--bad); }
.passed #verdict { color: var(--good); }
.guess { margin-top: .7rem; border-left: .4rem solid var(--bad); }
.guess h2 { font-size: 1.1rem; }
.guess a { color: inherit; }
#lists details { margin-top: .9rem; }
#lists summary { cursor: pointer; }

main { display: grid; grid-template-columns: minmax(0, 1fr); gap: .9rem; margin-top: .9rem; align-items: start; }
#tree { margin: .6rem 0; max-height: 55vh; overflow: auto; border: 1px solid var(--line); border-radius: .4rem; }
@media (min-width: 60rem) {
  main { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
  #modules { position: sticky; top: .9rem; }
  #tree { max-height: calc(100vh - 15rem); }
}

/* a row: how far it is opened, its name, its marks, its error */
.row {
  display: grid; grid-template-columns: 1.1rem minmax(0, 1fr) auto 4.9rem; gap: 0 .35rem; align-items: center;
  padding: .1rem .3rem .1rem calc(.3rem + .8rem * (var(--depth) - 1)); cursor: pointer; font-size: .92rem;
}
.row:focus-visible { outline-offset: -2px; }
.row:hover { background: var(--page); }
.row[aria-selected=true] { background: var(--page); box-shadow: inset .25rem 0 var(--ink); font-weight: 700; }
.row .kind { color: var(--soft); font-size: .8rem; font-weight: 400; white-space: nowrap; }
.row .output { font-style: italic; }
.mark { margin-left: .3rem; font-family: ui-monospace, monospace; }
.error { padding: 0 .2rem; white-space: nowrap; border-radius: .3rem; text-align: center; font-size: .85rem; font-weight: 600; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.error.word { border: 1px solid var(--bad); color: var(--bad); }
.ramp { height: .8rem; border-radius: .2rem; background: linear-gradient(to right, var(--ramp)); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.ticks { position: relative; height: 1.4em; }
.ticks span { position: absolute; left: var(--at); transform: translateX(-50%); }
.ticks span:first-child { left: 0; transform: none; }
.ticks span:last-child { left: auto; right: 0; transform: none; }

/* the chosen tensor */
#judgement .error { display: inline-block; }
#measures { display: grid; grid-template-columns: minmax(0, max-content) minmax(0, 1fr); gap: .1rem .9rem; margin: .6rem 0; font-size: .92rem; }
#measures dt { color: var(--soft); }
#measures dd { margin: 0; }
figure { margin: 1.1rem 0 0; }
.frame { display: grid; grid-template-columns: 1.3rem minmax(0, 1fr); gap: .15rem .4rem; }
.frame > :nth-child(n + 3) { grid-column: 2; }
.y-title { writing-mode: vertical-rl; transform: rotate(180deg); text-align: center; overflow: hidden; white-space: nowrap; }
.x-title { text-align: center; }
.plot { position: relative; border: 1px solid var(--line); background: var(--page); cursor: crosshair; touch-action: pan-y; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
output { display: block; min-height: 1.5em; font-size: .9rem; }
#histogram { height: 9rem; }
#histogram .bar { position: absolute; bottom: 0; width: 2.5%; border: solid var(--soft); border-width: 1px 1px 0; }
#histogram .tolerance { position: absolute; top: 0; bottom: 0; border-left: 2px dashed var(--ink); }
#heat-map canvas { display: block; width: 100%; height: 100%; image-rendering: pixelated; }
.cursor { position: absolute; outline: 2px solid var(--ink); box-shadow: 0 0 0 3px var(--card); pointer-events: none; }
#histogram .cursor { background: none; opacity: .6; box-shadow: none; outline-width: 1px; }

@media (max-width: 40rem) {
  body { font-size: 15px; }
  section, .guess, details { padding: .7rem .75rem; }
  .row { padding-left: calc(.2rem + .5rem * (var(--depth) - 1)); }
  #decades span:nth-child(2) { display: none; }
  output { min-height: 3em; }  /* so that nothing moves with the pointer */
}
@media print {
  body { max-width: none; padding: 0; }
  main { display: block; }
  button, .cursor { display: none; }
  #modules { position: static; margin-bottom: .9rem; }
  #tree { max-height: none; overflow: visible; }
  .row, figure, .guess { break-inside: avoid; }
}
)css";

}  // namespace t5gemma2::report_detail
