// How often something was over time: bars of equal steps, stacked by series.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2, useTheme2 } from '@grafana/ui';
import { useMemo, useRef, useState, type KeyboardEvent } from 'react';
import { clean, clock, date, number, part, weekday } from '../format';
import { toneColors, type Tone } from '../status';
import { Table, type Column } from './Table';

export interface BarSeries {
  id: string;
  /** may come from a server */
  name: string;
  /** one for each step */
  values: number[];
  /** a meaning that has a colour, worst is worse than bad; absent = the next one of the palette; rest = what belongs to no series */
  tone?: Tone | 'worst' | 'rest';
}

interface Props {
  /** what is drawn, for who cannot see it */
  label: string;
  /** a number with what is counted: "1 event", "1,200 events" */
  count: (n: number) => string;
  /** where the steps begin; ms */
  times: number[];
  /** how long a step is; ms. Days are those of UTC. */
  step: number;
  /** the lowest first */
  series: BarSeries[];
  /** a bar was chosen; ms */
  onPick?: (from: number, to: number) => void;
  /** an entry of the legend was chosen; the rest, and what has no id, cannot be */
  onSeries?: (id: string) => void;
  height?: number;
}

const day = 86_400_000;
const most = 120;

const hues = { dark: ['blue', 'orange', 'green', 'purple', 'red', 'yellow'], light: ['blue', 'orange', 'green', 'purple', 'red'] }; // no yellow is seen on white
const shades = { dark: ['', 'super-light-'], light: ['dark-', 'semi-dark-'] };

/** Colours of series in their order, told apart from the ground by a contrast of 3; after the last the first comes again. */
export function barColors(theme: GrafanaTheme2): string[] {
  const mode = theme.isDark ? 'dark' : 'light';
  return shades[mode].flatMap((shade) => hues[mode].map((hue) => theme.visualization.getColorByName(shade + hue)));
}

/** Neighbours put together until there are at most so many bars. */
export function gather(times: number[], step: number, series: BarSeries[], max = most): { times: number[]; step: number; series: BarSeries[] } {
  const n = Math.ceil(times.length / max);
  if (n <= 1) {
    return { times, step, series };
  }
  const sums = (values: number[]) => times.flatMap((_, i) => (i % n ? [] : [values.slice(i, i + n).reduce((a, b) => a + b, 0)]));
  return { times: times.filter((_, i) => i % n === 0), step: step * n, series: series.map((s) => ({ ...s, values: sums(s.values) })) };
}

/** A round number at or above: what the highest bar is measured by. */
export function ceiling(n: number): number {
  const size = 10 ** Math.floor(Math.log10(Math.max(1, n)));
  return (size >= 10 ? [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10] : [1, 2, 3, 4, 5, 6, 8, 10]).map((f) => f * size).find((v) => v >= n) ?? n;
}

/** When a step is, in the reader's zone; days in UTC, as they are counted. */
export function stepName(at: number, step: number): string {
  if (step % day !== 0) {
    return `${part(at, weekday)} ${part(at, clock)}–${part(at + step, clock)}`;
  }
  const timeZone = 'UTC';
  const last = at + step - day;
  return last === at ? part(at, { ...weekday, year: 'numeric', timeZone }) : `${part(at, { ...date, timeZone })} – ${part(last, { ...date, year: 'numeric', timeZone })}`;
}

export function Bars({ label, count, times: allTimes, step: oneStep, series: all, onPick, onSeries, height = 150 }: Props) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const { times, step, series } = useMemo(() => gather(allTimes, oneStep, all), [allTimes, oneStep, all]);
  // Bars are remembered by their time: another answer has others.
  const [told, setTold] = useState<number>(); // whose numbers are told
  const [reached, setReached] = useState<number>(); // where the Tab key comes in
  const bars = useRef<SVGSVGElement>(null);
  const totals = times.map((_, i) => series.reduce((sum, v) => sum + v.values[i], 0));
  const top = ceiling(Math.max(0, ...totals));
  const colors = useMemo(() => colorsOf(theme, series), [theme, series]);
  const index = (time: number | undefined) => (time === undefined ? -1 : times.indexOf(time));
  const at = index(told) < 0 ? undefined : index(told);
  const here = Math.max(0, index(reached));
  const said = (i: number) => `${stepName(times[i], step)}: ${count(totals[i])}`;
  const inFull = (i: number) => [said(i), ...series.filter((v) => v.values[i]).map((v) => `${clean(v.name, 60)} ${number(v.values[i])}`)].join(', ');
  const pick = (i: number) => onPick?.(times[i], times[i] + step);

  const keys = (e: KeyboardEvent) => {
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: times.length - 1 }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      const i = Math.max(0, Math.min(times.length - 1, to));
      setReached(times[i]);
      bars.current?.querySelectorAll<SVGGElement>('[data-bar]')[i]?.focus();
    } else if (onPick && (e.key === 'Enter' || e.key === ' ')) {
      e.preventDefault();
      pick(here);
    }
  };

  if (times.length === 0) {
    return null;
  }
  return (
    <figure className={s.figure}>
      <figcaption className={s.caption}>{at === undefined ? `${count(totals.reduce((a, b) => a + b, 0))}, ${stepsAre(step)}` : said(at)}</figcaption>
      <div className={s.plot} style={{ height }}>
        <div className={s.scale} aria-hidden>
          <span>{short(top)}</span>
          <span>{top % 2 === 0 ? short(top / 2) : ''}</span>
          <span>0</span>
        </div>
        <svg ref={bars} className={s.bars} data-chart viewBox={`0 0 ${times.length} ${height}`} preserveAspectRatio="none" role="group" aria-label={label} onKeyDown={keys} onMouseLeave={() => setTold(undefined)} onBlur={() => setTold(undefined)}>
          {[0, 0.5, 1].map((f) => (
            <line key={f} className={s.line} x1={0} x2={times.length} y1={Math.max(0.5, height * f - 0.5)} y2={Math.max(0.5, height * f - 0.5)} />
          ))}
          {times.map((time, i) => (
            <g
              key={time}
              data-bar
              role={onPick ? 'button' : 'img'}
              tabIndex={i === here ? 0 : -1}
              aria-label={inFull(i)}
              className={cx(s.bar, onPick && s.picks)}
              onMouseEnter={() => setTold(time)}
              onFocus={() => (setTold(time), setReached(time))}
              onClick={() => pick(i)}
            >
              <rect className={s.ground} x={i} width={1} y={0} height={height} />
              <Stack at={i} values={series.map((v) => v.values[i])} colors={colors} top={top} height={height} />
            </g>
          ))}
        </svg>
      </div>
      <div className={s.axis} aria-hidden>
        {ticks(times, step).map(([i, name]) => (
          <span key={i} style={{ left: `${(i / times.length) * 100}%` }}>
            {name}
          </span>
        ))}
      </div>
      <ul className={s.legend} aria-label={t('bars.legend', 'Legend')}>
        {series.map((v, i) => (
          <Entry key={v.id} name={v.name} color={colors[i]} value={at === undefined ? v.values.reduce((a, b) => a + b, 0) : v.values[at]} pick={onSeries && v.id && v.tone !== 'rest' ? () => onSeries(v.id) : undefined} />
        ))}
      </ul>
      <Numbers label={label} times={times} step={step} series={series} totals={totals} />
    </figure>
  );
}

function Stack({ at, values, colors, top, height }: { at: number; values: number[]; colors: string[]; top: number; height: number }) {
  let y = height;
  return (
    <>
      {values.map((v, i) => {
        const tall = v && Math.max(2, (v / top) * height); // what is there is seen
        y -= tall;
        return v > 0 && <rect key={i} x={at + 0.1} width={0.8} y={Math.max(0, y)} height={Math.max(1, tall - (tall > 4 ? 1 : 0))} fill={colors[i]} />;
      })}
    </>
  );
}

function Entry({ name, color, value, pick }: { name: string; color: string; value: number; pick?: () => void }) {
  const s = useStyles2(styles);
  const inside = (
    <>
      <span className={s.swatch} style={{ background: color }} aria-hidden />
      <bdi className={s.name}>{clean(name, 60)}</bdi> <span className={s.value}>{number(value)}</span>
    </>
  );
  return (
    <li>
      {pick ? (
        <button type="button" className={s.entry} title={t('bars.only', 'Only these')} onClick={pick}>
          {inside}
        </button>
      ) : (
        <span className={s.entry}>{inside}</span>
      )}
    </li>
  );
}

/** The same as a table, for who reads numbers rather than bars; made when it is opened. */
function Numbers({ label, times, step, series, totals }: { label: string; times: number[]; step: number; series: BarSeries[]; totals: number[] }) {
  const s = useStyles2(styles);
  const [open, setOpen] = useState(false);
  const columns: Array<Column<number>> = [
    { id: 'when', name: () => t('bars.when', 'When'), cell: (i) => <time dateTime={new Date(times[i]).toISOString()}>{stepName(times[i], step)}</time> },
    ...series.map((v): Column<number> => ({ id: 's' + v.id, name: () => clean(v.name, 40), number: true, cell: (i) => number(v.values[i]) })),
    { id: 'total', name: () => t('bars.total', 'Total'), number: true, cell: (i) => number(totals[i]) },
  ];
  return (
    <details className={s.table} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t('bars.table', 'As a table')}</summary>
      {open && <Table label={label} columns={columns} rows={times.map((_, i) => i)} id={(i) => String(times[i])} />}
    </details>
  );
}

function colorsOf(theme: GrafanaTheme2, series: BarSeries[]): string[] {
  const palette = barColors(theme);
  let next = 0;
  const worst = theme.visualization.getColorByName(theme.isDark ? 'purple' : 'dark-purple');
  return series.map(({ tone }) => (tone === 'rest' ? theme.colors.text.secondary : tone === 'worst' ? worst : tone ? toneColors(theme, tone).text : palette[next++ % palette.length]));
}

function stepsAre(step: number): string {
  if (step === 3_600_000) {
    return t('bars.hourly', 'by the hour');
  }
  if (step === day) {
    return t('bars.daily', 'by the day (UTC)');
  }
  return step % day === 0 ? t('bars.days', '{{n}} days a bar (UTC)', { n: step / day }) : t('bars.hours', '{{n}} hours a bar', { n: Number((step / 3_600_000).toFixed(1)) });
}

/** 12,000 → "12k": the scale has room for little. */
const short = (n: number) => (n >= 1e6 ? `${n / 1e6}M` : n >= 1e4 ? `${n / 1e3}k` : String(n));

/** Where the time is written below the bars: four places at most, at whole days where hours are counted. */
export function ticks(times: number[], step: number): Array<[number, string]> {
  const daily = step % day === 0;
  const format = (i: number) => part(times[i], { ...(daily || times.length * step > 2 * day ? date : clock), timeZone: daily ? 'UTC' : undefined });
  const every = Math.max(1, Math.ceil(times.length / 4));
  const out: Array<[number, string]> = [];
  for (let i = 0; i < times.length; i += every) {
    const name = format(i);
    if (out.at(-1)?.[1] !== name) {
      out.push([i, name]);
    }
  }
  return out;
}

const phone = '@media (max-width: 719px)';
const styles = (theme: GrafanaTheme2) => ({
  figure: css({ margin: 0, minWidth: 0 }),
  caption: css({ color: theme.colors.text.secondary, marginBottom: theme.spacing(1), minHeight: '1.5em' }),
  plot: css({ display: 'flex', gap: theme.spacing(1) }),
  scale: css({ flex: 'none', width: 36, display: 'flex', flexDirection: 'column', justifyContent: 'space-between', textAlign: 'right', lineHeight: 1, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, fontVariantNumeric: 'tabular-nums' }),
  bars: css({ flex: 1, minWidth: 0, height: '100%', display: 'block', overflow: 'visible' }),
  line: css({ stroke: theme.colors.border.weak, vectorEffect: 'non-scaling-stroke' }),
  bar: css({ outline: 'none', '&:hover > rect:first-of-type': { fill: theme.colors.action.hover }, '&:focus-visible > rect:first-of-type': { fill: theme.colors.action.selected, stroke: theme.colors.primary.border, strokeWidth: 2, vectorEffect: 'non-scaling-stroke' } }),
  picks: css({ cursor: 'pointer' }),
  ground: css({ fill: 'transparent' }),
  axis: css({ position: 'relative', height: '1.5em', marginLeft: 36 + 8, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, '& span': { position: 'absolute', whiteSpace: 'nowrap' } }),
  legend: css({ listStyle: 'none', margin: theme.spacing(1, 0, 0), padding: 0, display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.5, 1.5), [phone]: { flexDirection: 'column' } }),
  entry: css({ all: 'unset', boxSizing: 'border-box', display: 'inline-flex', alignItems: 'baseline', gap: 6, maxWidth: '100%', 'button&': { cursor: 'pointer', '&:hover': { textDecoration: 'underline' }, '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 2 } } }),
  swatch: css({ flex: 'none', width: 10, height: 10, borderRadius: 2 }),
  name: css({ overflowWrap: 'anywhere' }),
  value: css({ color: theme.colors.text.secondary, fontVariantNumeric: 'tabular-nums', minWidth: '2.5ch' }),
  table: css({ marginTop: theme.spacing(1), '& summary': { color: theme.colors.text.secondary } }),
});
