// Tables as files. What a spreadsheet would take for a formula is told to be text by a quote in front, as in the
// register's own tables.
const formula = /^[\s'"]*[=+\-@]|^[\t\r]/;

export function csvCell(value: string): string {
  const safe = formula.test(value) ? `'${value}` : value;
  return /[",;\n\r\t]|^\s|\s$|^'/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const csv = (rows: string[][]): string => rows.map((r) => r.map(csvCell).join(',') + '\r\n').join('');

/** Hands a file to whoever looks at the page. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv;charset=utf-8' }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
