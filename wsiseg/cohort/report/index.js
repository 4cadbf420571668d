"use strict";
// Sorts and filters the rows that stand in the page; without it the table is still there.
const body = document.querySelector("tbody");
const rows = Array.from(body.rows);
const search = document.getElementById("search");
const shown = document.getElementById("shown");
const states = Array.from(document.querySelectorAll("button[data-state]"));
const headings = Array.from(document.querySelectorAll("th[data-column]"));
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

// What is chosen stands behind the # of the address, so that a view can be passed on.
function chosen() {
  const view = new URLSearchParams(location.hash.slice(1));
  return { q: view.get("q") || "", state: view.get("state") || "", sort: view.get("sort") || "", down: view.get("down") === "1" };
}

function choose(change) {
  const view = Object.assign(chosen(), change);
  const said = new URLSearchParams();
  if (view.q) said.set("q", view.q);
  if (view.state) said.set("state", view.state);
  if (view.sort) said.set("sort", view.sort);
  if (view.down) said.set("down", "1");
  history.replaceState(null, "", "#" + said);
  show();
}

function value(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
}

// What has no value stands last, whichever way the rest is sorted.
function compare(a, b, down) {
  const empty = (value) => value === "" || Number.isNaN(value);
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
  return down ? -order : order;
}

function show() {
  const view = chosen();
  const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
  let order = rows;
  if (view.sort) {
    const column = Number(view.sort);
    order = rows.slice().sort((a, b) => compare(value(a, column), value(b, column), view.down));
  }
  let count = 0;
  for (const row of order) {
    const text = texts.get(row);
    row.hidden = (view.state !== "" && row.dataset.state !== view.state) || !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  body.replaceChildren(...order);
  if (search.value !== view.q) search.value = view.q;
  shown.textContent = count + " of " + rows.length + " shown";
  for (const button of states) button.setAttribute("aria-pressed", String(button.dataset.state === view.state));
  for (const heading of headings) {
    const here = heading.dataset.column === view.sort;
    heading.setAttribute("aria-sort", here ? (view.down ? "descending" : "ascending") : "none");
  }
}

search.addEventListener("input", () => choose({ q: search.value }));
for (const button of states) {
  button.addEventListener("click", () => choose({ state: button.dataset.state === chosen().state ? "" : button.dataset.state }));
}
for (const heading of headings) {
  heading.querySelector("button").addEventListener("click", () => {
    const view = chosen();
    choose({ sort: heading.dataset.column, down: view.sort === heading.dataset.column && !view.down });
  });
}
window.addEventListener("hashchange", show);
show();
