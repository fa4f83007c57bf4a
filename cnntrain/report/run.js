"use strict";
const {cells, images, files, columns, names} = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const sheet = byId("sheet"), matrix = byId("matrix");

// A cell of the confusion matrix opens the images behind it.
let opener = null;
function element(name, className, parent, text = "") {
  const node = document.createElement(name);
  node.className = className;
  node.textContent = text;
  parent.append(node);
  return node;
}
function open(button) {
  const [truth, said] = button.dataset.cell.split(",").map(Number);
  const chosen = cells[button.dataset.cell];
  const what = truth === said ? `${names[truth]}, recognised` : `${names[truth]}, taken for ${names[said]}`;
  const total = Number(button.dataset.count);
  byId("sheet-title").textContent = `${what}: ${total} ${total === 1 ? "image" : "images"}`
    + (chosen.length < total ? `, the ${chosen.length} most confident are shown` : "");
  byId("sheet-images").replaceChildren();
  for (const index of chosen) {
    const figure = element("figure", "image", byId("sheet-images"));
    const tile = element("span", "tile", figure), sure = `${(100 * images[index]).toFixed(1)}%`;
    tile.style.setProperty("--x", index % columns);
    tile.style.setProperty("--y", Math.floor(index / columns));
    tile.setAttribute("role", "img");
    tile.setAttribute("aria-label", `${what}, with ${sure}: ${files[index]}`);
    const caption = element("figcaption", "dim", figure, sure);
    const file = element("span", "file", caption);
    files[index].split(/(?<=\/)/).forEach((part, place) => {
      if (place) element("wbr", "", file);
      file.append(part);
    });
  }
  opener = button;
  sheet.hidden = false;
  room(sheet.offsetHeight);
  byId("sheet-title").focus({preventScroll: true});
  button.scrollIntoView({block: "nearest"});
}
// So that nothing stays behind the sheet.
function room(height) {
  document.body.style.paddingBottom = document.documentElement.style.scrollPaddingBottom = `${height || 16}px`;
}
function close() {
  sheet.hidden = true;
  room(0);
  opener.focus();
}
byId("close").addEventListener("click", close);
addEventListener("keydown", event => { if (event.key === "Escape" && !sheet.hidden) close(); });

// The arrow keys walk over the cells; Tab leaves the matrix.
function walk(event) {
  const [down, right] = {ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1]}[event.key] ?? [0, 0];
  if (!down && !right || !event.target.dataset.cell) return;
  event.preventDefault();
  const rows = [...matrix.querySelectorAll("tbody tr")], cell = event.target.closest("td");
  let row = rows.indexOf(cell.parentNode), column = cell.cellIndex, next = null;
  while (!next && rows[row] && rows[row].cells[column]) {
    row += down;
    column += right;
    next = rows[row]?.cells[column]?.querySelector("button");
  }
  if (!next) return;
  event.target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}
if (matrix) {
  matrix.addEventListener("click", event => {
    const button = event.target.closest("[data-cell]");
    if (button) open(button);
  });
  matrix.addEventListener("keydown", walk);
}

// A click on a heading sorts its table: first upwards, then downwards.
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const heading = button.parentNode, body = heading.closest("table").tBodies[0];
  const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const value = row => row.cells[heading.cellIndex].dataset.value ?? row.cells[heading.cellIndex].textContent;
  const compare = (a, b) => Number.isNaN(a - b) ? a.localeCompare(b) : a - b;
  const rows = [...body.rows].sort((a, b) => sign * compare(value(a), value(b)));
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  body.append(...rows);
});
