import { csv, csvCell } from './csv';

test('what a spreadsheet would obey is text', () => {
  for (const [value, cell] of [
    ['db7', 'db7'], ['=1+1', "\"'=1+1\""], ['@SUM(A1)', "\"'@SUM(A1)\""], ['+49 30', "\"'+49 30\""], ['-2', "\"'-2\""], [' =1', "\"' =1\""], ['"=1"', '"\'""=1"""'], ["'=1", "\"''=1\""], ['\t=1', '"\'\t=1"'],
    ['a,b', '"a,b"'], ['say "no"', '"say ""no"""'], ['two\nlines', '"two\nlines"'], ['', ''],
  ]) {
    expect(csvCell(value)).toBe(cell);
  }
  expect(csv([['name', 'site'], ['db7', 'a;b']])).toBe('name,site\r\ndb7,"a;b"\r\n');
});
