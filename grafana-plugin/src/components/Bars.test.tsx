import { colorManipulator, createTheme } from '@grafana/data';
import { act, fireEvent, render, screen } from '@testing-library/react';
import { toneColors } from '../status';
import { barColors, Bars, ceiling, gather, stepName, ticks } from './Bars';

const hour = 3_600_000;
const start = Date.UTC(2026, 10, 24);
const times = [0, 1, 2].map((n) => start + n * 24 * hour);
const count = (n: number) => (n === 1 ? '1 event' : `${n.toLocaleString()} events`);
const series = [
  { id: 'disk', name: 'disk', values: [1, 0, 7] },
  { id: 'x', name: '<b>Service\u202e Control</b>', values: [2000, 0, 5] },
  { id: '', name: 'others', values: [1, 1, 0], tone: 'rest' as const },
];

test('every colour stands out from the ground in both themes', () => {
  for (const mode of ['dark', 'light'] as const) {
    const theme = createTheme({ colors: { mode } });
    const tones = (['good', 'info', 'warning', 'bad', 'calm'] as const).map((tone) => toneColors(theme, tone).text);
    const colors = [...barColors(theme), ...tones];
    expect(colors.map((c) => [mode, c, colorManipulator.getContrastRatio(c, theme.colors.background.primary)]).filter(([, , ratio]) => (ratio as number) < 3)).toEqual([]);
    expect(new Set(barColors(theme)).size).toBe(mode === 'dark' ? 12 : 10);
  }
});

test('the numbers of a bar are told where the pointer or the focus is', () => {
  const picked = jest.fn();
  render(<Bars label="Events over time" count={count} times={times} step={24 * hour} series={series} onPick={picked} />);
  expect(screen.getByText('2,015 events, by the day (UTC)')).toBeInTheDocument();
  const bars = [...document.querySelectorAll<SVGGElement>('[data-bar]')];
  expect(bars.map((b) => [b.getAttribute('role'), b.tabIndex])).toEqual([['button', 0], ['button', -1], ['button', -1]]);
  expect(bars.map((b) => b.getAttribute('aria-label'))).toEqual([
    'Tue 24 Nov 2026: 2,002 events, disk 1, <b>Service· Control</b> 2,000, others 1', 'Wed 25 Nov 2026: 1 event, others 1', 'Thu 26 Nov 2026: 12 events, disk 7, <b>Service· Control</b> 5',
  ]);
  fireEvent.mouseEnter(bars[2]);
  expect(screen.getByText('Thu 26 Nov 2026: 12 events')).toBeInTheDocument();
  expect([...screen.getByLabelText('Legend').children].map((e) => e.textContent)).toEqual(['disk 7', '<b>Service· Control</b> 5', 'others 0']);
  act(() => bars[0].focus());
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowLeft']) {
    fireEvent.keyDown(document.activeElement as Element, { key });
  }
  expect(bars[1]).toHaveFocus();
  expect(screen.getByText('Wed 25 Nov 2026: 1 event')).toBeInTheDocument();
  fireEvent.keyDown(bars[1], { key: 'Enter' });
  expect(picked).toHaveBeenLastCalledWith(times[1], times[2]);
  fireEvent.click(bars[2]);
  expect(picked).toHaveBeenLastCalledWith(times[2], times[2] + 24 * hour);
});

test('an entry of the legend narrows, the rest does not', () => {
  const only = jest.fn();
  render(<Bars label="Events" count={count} times={times} step={24 * hour} series={series} onSeries={only} />);
  fireEvent.click(screen.getByText('disk'));
  expect(only).toHaveBeenCalledWith('disk');
  expect(screen.getByText('others').closest('button')).toBeNull();
});

test('there is a table of the same numbers',  () => {
  render(<Bars label="Events" count={count} times={times} step={24 * hour} series={series} />);
  const details = screen.getByText('As a table').closest('details') as HTMLDetailsElement;
  details.open = true;
  fireEvent(details, new Event('toggle'));
  expect(screen.getAllByRole('row').map((r) => [...r.children].map((c) => c.textContent).join('|'))).toEqual(['When|disk|<b>Service· Control</b>|others|Total', 'Tue 24 Nov 2026|1|2,000|1|2,002', 'Wed 25 Nov 2026|0|0|1|1', 'Thu 26 Nov 2026|7|5|0|12']);
});

test('many steps are put together, and a step of one bar covers them', () => {
  const many = Array.from({ length: 365 }, (_, i) => start + i * 24 * hour);
  const g = gather(many, 24 * hour, [{ id: 'a', name: 'a', values: many.map(() => 1) }]);
  expect([g.times.length, g.step / 24 / hour, g.series[0].values[0], g.series[0].values.at(-1)]).toEqual([92, 4, 4, 1]);
  expect(stepName(start, g.step)).toBe('24 Nov – 27 Nov 2026');
  expect(ticks(g.times, g.step).length).toBeLessThanOrEqual(4);
});

test('the scale ends at a round number', () => {
  expect([0, 1, 7, 9, 11, 97, 1201, 9999].map(ceiling)).toEqual([1, 1, 8, 10, 12, 100, 1500, 10000]);
});
