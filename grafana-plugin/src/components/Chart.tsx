// Values over time: a line for each series, a gap where nothing is known.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2, useTheme2 } from '@grafana/ui';
import { useMemo, useState, type KeyboardEvent, type PointerEvent } from 'react';
import { bytes, clean, clock, number, part, span, weekday } from '../format';
import { barColors } from './Bars';
import { Table, type Column } from './Table';

export interface ChartLine {
  /** may come from a server */
  name: string;
  /** one for each time; null = not known */
  values: Array<number | null>;
}

interface Props {
  /** what is drawn, for who cannot see it */
  label: string;
  /** as the ruler names it */
  unit: string;
  /** ms */
  times: number[];
  /** between two times; ms */
  step: number;
  lines: ChartLine[];
  height?: number;
}

const width = 1000;
/** What a table is read with: more rows nobody reads. */
const mostRows = 100;

const short = (v: number) => number(Number(v.toPrecision(3)));

/** A value with its unit. */
export function value(v: number, unit: string): string {
  if (v === 0 && ['ratio', 'seconds'].includes(unit)) {
    return unit === 'ratio' ? '0 %' : '0 s';
  }
  switch (unit) {
    case 'ratio':
      return `${(v * 100).toFixed(v < 0.0995 ? 1 : 0)} %`;
    case 'bytes':
      return bytes(Math.round(v));
    case 'bytes_per_second':
      return `${bytes(Math.round(v))}/s`;
    case 'seconds':
      return v < 1 ? `${number(Number((v * 1000).toPrecision(3)))} ms` : v < 10 ? `${short(v)} s` : span(v);
    case 'celsius':
      return `${short(v)} °C`;
    case 'records_per_second':
    case 'packets_per_second':
      return t('chart.rate', '{{n}}/s', { n: short(v) });
    default:
      return short(v);
  }
}

/** The lowest and the highest value that the scale has room for: from 0, round above; a share always to 1. */
export function scale(lines: ChartLine[], unit: string): [number, number] {
  if (unit === 'ratio') {
    return [0, 1];
  }
  let top = 0;
  let low = Infinity;
  for (const l of lines) {
    for (const v of l.values) {
      if (v !== null) {
        top = Math.max(top, v);
        low = Math.min(low, v);
      }
    }
  }
  if (top <= 0) {
    return [Math.min(0, Number.isFinite(low) ? low : 0), 1];
  }
  const base = unit.startsWith('bytes') ? 1000 ** Math.floor(Math.log10(top) / 3) : 1;
  const size = base * 10 ** Math.floor(Math.log10(top / base));
  const round = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((f) => f * size).find((v) => v >= top) ?? top;
  return [Math.min(0, low), round];
}

/** The path of a line; a value between two gaps is a dot. */
export function path(values: Array<number | null>, [low, top]: [number, number], height: number): string {
  const out: string[] = [];
  const x = (i: number) => Number(((i / Math.max(1, values.length - 1)) * width).toFixed(1));
  const y = (v: number) => Number((height - ((v - low) / (top - low)) * height).toFixed(1));
  values.forEach((v, i) => {
    if (v === null) {
      return;
    }
    const begins = i === 0 || values[i - 1] === null;
    out.push(`${begins ? 'M' : 'L'}${x(i)} ${y(v)}`);
    if (begins && (i === values.length - 1 || values[i + 1] === null)) {
      out.push('h0.1');
    }
  });
  return out.join('');
}

const when = (at: number, long: boolean) => (long ? `${part(at, weekday)} ${part(at, clock)}` : part(at, { ...clock, second: '2-digit' }));

const last = (values: Array<number | null>) => values.findLast((v) => v !== null) ?? null;

export function Chart({ label, unit, times, step, lines, height = 140 }: Props) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const colors = useMemo(() => barColors(theme), [theme]);
  const [at, setAt] = useState<number>(); // the time whose values are told
  const range = useMemo(() => scale(lines, unit), [lines, unit]);
  const drawn = useMemo(() => lines.map((l) => path(l.values, range, height)), [lines, range, height]);
  const ends = times.length - 1;
  const here = at === undefined ? ends : Math.min(at, ends);
  const told = (l: ChartLine) => {
    const v = at === undefined ? last(l.values) : (l.values[here] ?? null);
    return v === null ? '–' : value(v, unit);
  };
  const newest = Math.max(...lines.map((l) => l.values.findLastIndex((v) => v !== null)));
  const long = times.length > 0 && times[ends] - times[0] > 3_600_000;

  const keys = (e: KeyboardEvent) => {
    const to = { ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1, Home: 0, End: ends, PageUp: here + 10, PageDown: here - 10 }[e.key];
    if (to !== undefined) {
      e.preventDefault();
      setAt(Math.max(0, Math.min(ends, to)));
    }
  };
  const point = (e: PointerEvent<HTMLElement>) => {
    const box = e.currentTarget.getBoundingClientRect();
    setAt(Math.max(0, Math.min(ends, Math.round(((e.clientX - box.left) / Math.max(1, box.width)) * ends))));
  };

  if (times.length === 0 || lines.every((l) => last(l.values) === null)) {
    return <p className={s.none}>{t('chart.none', 'Nothing is known of this time.')}</p>;
  }
  return (
    <figure className={s.figure} aria-label={label}>
      <figcaption className={s.caption}>{at !== undefined ? when(times[here], long) : newest < ends - 2 ? t('chart.latestOf', 'latest values, of {{when}}', { when: when(times[newest], long) }) : t('chart.latest', 'latest values')}</figcaption>
      <div className={s.plot} style={{ height }}>
        <div className={s.scale} aria-hidden>
          <span>{value(range[1], unit)}</span>
          <span>{value((range[0] + range[1]) / 2, unit)}</span>
          <span>{value(range[0], unit)}</span>
        </div>
        <div
          className={s.area}
          role="slider"
          tabIndex={0}
          aria-label={`${label}, ${t('chart.time', 'time')}`}
          aria-valuemin={0}
          aria-valuemax={ends}
          aria-valuenow={here}
          aria-valuetext={`${when(times[here], long)}: ${lines.map((l) => `${clean(l.name, 60)} ${told(l)}`).join(', ')}`}
          onKeyDown={keys}
          onPointerMove={point}
          onPointerDown={point}
          onPointerLeave={() => setAt(undefined)}
          onBlur={() => setAt(undefined)}
        >
          <svg className={s.lines} data-chart viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden>
            {[0, 0.5, 1].map((f) => (
              <line key={f} className={s.grid} x1={0} x2={width} y1={height * f} y2={height * f} />
            ))}
            {drawn.map((d, i) => (
              <path key={i} className={s.line} d={d} stroke={colors[i % colors.length]} strokeDasharray={i >= colors.length ? '6 3' : undefined} />
            ))}
            {at !== undefined && <line className={s.cross} x1={(here / Math.max(1, ends)) * width} x2={(here / Math.max(1, ends)) * width} y1={0} y2={height} />}
          </svg>
        </div>
      </div>
      <div className={s.axis} aria-hidden>
        <span>{when(times[0], long)}</span>
        <span>{when(times[ends], long)}</span>
      </div>
      <ul className={s.legend} aria-label={t('bars.legend', 'Legend')}>
        {lines.map((l, i) => (
          <li key={i} className={s.entry}>
            <span className={s.swatch} style={{ background: colors[i % colors.length] }} aria-hidden />
            <bdi className={s.name}>{clean(l.name, 60)}</bdi> <span className={s.value}>{told(l)}</span>
          </li>
        ))}
      </ul>
      <Numbers label={label} unit={unit} times={times} step={step} lines={lines} />
    </figure>
  );
}

/** The same as a table, made when it is opened. */
function Numbers({ label, unit, times, lines }: Props) {
  const s = useStyles2(styles);
  const [open, setOpen] = useState(false);
  const every = Math.ceil(times.length / mostRows);
  const columns: Array<Column<number>> = [
    { id: 'when', name: () => t('bars.when', 'When'), cell: (i) => <time dateTime={new Date(times[i]).toISOString()}>{when(times[i], true)}</time> },
    ...lines.map((l, n): Column<number> => ({ id: 's' + n, name: () => clean(l.name, 40), number: true, cell: (i) => (l.values[i] === null ? '–' : value(l.values[i], unit)) })),
  ];
  return (
    <details className={s.table} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>{t('bars.table', 'As a table')}</summary>
      {open && <Table label={label} columns={columns} rows={times.map((_, i) => i).filter((i) => i % every === 0)} id={(i) => String(times[i])} />}
    </details>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  figure: css({ margin: 0, minWidth: 0 }),
  none: css({ margin: 0, color: theme.colors.text.secondary }),
  caption: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, minHeight: '1.5em' }),
  plot: css({ display: 'flex', gap: theme.spacing(1) }),
  scale: css({ flex: 'none', width: 62, display: 'flex', flexDirection: 'column', justifyContent: 'space-between', textAlign: 'right', lineHeight: 1, whiteSpace: 'nowrap', color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize, fontVariantNumeric: 'tabular-nums' }),
  area: css({ flex: 1, minWidth: 0, height: '100%', cursor: 'crosshair', touchAction: 'pan-y', '&:focus-visible': { outline: `2px solid ${theme.colors.primary.main}`, outlineOffset: 2 } }),
  lines: css({ width: '100%', height: '100%', display: 'block', overflow: 'visible' }),
  grid: css({ stroke: theme.colors.border.weak, vectorEffect: 'non-scaling-stroke' }),
  line: css({ fill: 'none', strokeWidth: 1.5, strokeLinejoin: 'round', strokeLinecap: 'round', vectorEffect: 'non-scaling-stroke' }),
  cross: css({ stroke: theme.colors.text.secondary, strokeDasharray: '2 2', vectorEffect: 'non-scaling-stroke' }),
  axis: css({ display: 'flex', justifyContent: 'space-between', marginLeft: 62 + 8, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  legend: css({ listStyle: 'none', margin: theme.spacing(0.5, 0, 0), padding: 0, display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.25, 1.5) }),
  entry: css({ display: 'inline-flex', alignItems: 'baseline', gap: 6, maxWidth: '100%' }),
  swatch: css({ flex: 'none', width: 10, height: 10, borderRadius: 2 }),
  name: css({ overflowWrap: 'anywhere' }),
  value: css({ color: theme.colors.text.secondary, fontVariantNumeric: 'tabular-nums', whiteSpace: 'nowrap' }),
  table: css({ marginTop: theme.spacing(0.5), '& summary': { color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize } }),
});
