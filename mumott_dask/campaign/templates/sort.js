
// A click on a column's title sorts the rows by it; another one the other way round. Empty cells come last.
const key = (row, column) => {
  const cell = row.cells[column], value = cell.dataset.value
  return value === undefined ? cell.textContent : Number(value)
}
for (const button of document.querySelectorAll("thead button")) {
  const title = button.parentElement, body = document.querySelector("tbody")
  button.addEventListener("click", () => {
    const down = title.getAttribute("aria-sort") === "ascending", column = title.cellIndex
    for (const other of title.parentElement.cells) other.removeAttribute("aria-sort")
    title.setAttribute("aria-sort", down ? "descending" : "ascending")
    const rows = Array.from(body.rows, row => [key(row, column), row])
    const order = ([a], [b]) => (a === "") - (b === "") || (a < b ? -1 : a > b ? 1 : 0) * (down && a !== "" && b !== "" ? -1 : 1)
    for (const [, row] of rows.sort(order)) body.append(row)
  })
}
