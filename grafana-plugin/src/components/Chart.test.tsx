import { act, fireEvent, render, screen } from '@testing-library/react';
import { Chart, path, scale, value } from './Chart';

const hour = 3_600_000;
const start = Date.UTC(2026, 10, 24);
const times = [0, 1, 2, 3].map((n) => start + n * hour);
const lines = [
  { name: 'C:', values: [0.5, null, 0.25, null] },
  { name: '<b>D\u202e:</b>', values: [null, null, null, 1] },
];

test('values have their units', () => {
  const f = (v: number, unit: string, want: string) => expect([unit, value(v, unit)]).toEqual([unit, want]);
  f(0, 'ratio', '0 %');
  f(0.061, 'ratio', '6.1 %');
  f(0.61, 'ratio', '61 %');
  f(1234567, 'bytes', '1.2 MB');
  f(1234567, 'bytes_per_second', '1.2 MB/s');
  f(0.0042, 'seconds', '4.2 ms');
  f(7.761, 'seconds', '7.76 s');
  f(5400, 'seconds', '1 h 30 min');
  f(41.8, 'celsius', '41.8 °C');
  f(1234.5, 'records_per_second', '1,230/s');
  f(12, 'what comes later', '12');
});

test('the scale begins at 0 and ends round', () => {
  const f = (values: Array<number | null>, unit: string, want: [number, number]) => expect(scale([{ name: '', values }], unit)).toEqual(want);
  f([0.2, null], 'ratio', [0, 1]);
  f([17, 3, null], 'records', [0, 20]);
  f([17e6], 'bytes', [0, 20e6]);
  f([-5, 12], 'celsius', [-5, 12]);
  f([0, 0], 'records', [0, 1]);
  f([null], 'records', [0, 1]);
});

test('what is missing is a gap, and what stands alone a dot', () => {
  expect(path([0, 1, null, 1, null, null, 0, 0.5], [0, 1], 100)).toBe('M0 100L142.9 0M428.6 0h0.1M857.1 100L1000 50');
  expect(path([null, null], [0, 1], 100)).toBe('');
});

test('values are told where the pointer or the focus is, else the latest', () => {
  render(<Chart label="Free space" unit="ratio" times={times} step={hour} lines={lines} />);
  const legend = () => [...screen.getByLabelText('Legend').children].map((e) => e.textContent);
  expect(legend()).toEqual(['C: 25 %', '<b>D·:</b> 100 %']);
  const area = screen.getByRole('slider', { name: 'Free space, time' });
  act(() => area.focus());
  fireEvent.keyDown(area, { key: 'Home' });
  expect(legend()).toEqual(['C: 50 %', '<b>D·:</b> –']);
  expect(area).toHaveAttribute('aria-valuetext', expect.stringMatching(/: C: 50 %, <b>D·:<\/b> –$/));
  fireEvent.keyDown(area, { key: 'ArrowRight' });
  expect(legend()).toEqual(['C: –', '<b>D·:</b> –']);
  fireEvent.blur(area);
  expect(legend()).toEqual(['C: 25 %', '<b>D·:</b> 100 %']);
  fireEvent.click(screen.getByText('As a table'));
  document.querySelectorAll('details').forEach((d) => ((d.open = true), fireEvent(d, new Event('toggle'))));
  expect(screen.getAllByRole('row')).toHaveLength(5);
});

test('nothing known is said', () => {
  render(<Chart label="Processor" unit="ratio" times={times} step={hour} lines={[]} />);
  expect(screen.getByText('Nothing is known of this time.')).toBeInTheDocument();
});
