// Charts of the ruler's set, over a time that stands in the address.
import { t } from '@grafana/i18n';
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { Button, LinkButton, useStyles2 } from '@grafana/ui';
import { useEffect, useMemo, useState } from 'react';
import { now, useAnswer } from '../api/client';
import type { ChartData, ChartInfo } from '../api/schema';
import { plain, plural, sentence } from '../format';
import { useHost } from '../host';
import { Chart } from './Chart';
import { Pick } from './Filters';
import { Columns } from './Panel';
import { Loaded } from './States';
import { oneOf, useFilters } from './useFilters';

const spans = { '1h': 3_600, '6h': 21_600, '24h': 86_400, '7d': 604_800, '30d': 2_592_000, '365d': 31_536_000 } as const;
type Span = keyof typeof spans;
const words = Object.keys(spans) as Span[];

const spanNames = (): Array<[string, string]> => [
  ['1h', t('charts.1h', 'last hour')],
  ['6h', t('charts.6h', 'last 6 hours')],
  ['24h', t('charts.24h', 'last 24 hours')],
  ['7d', t('charts.7d', 'last 7 days')],
  ['30d', t('charts.30d', 'last 30 days')],
  ['365d', t('charts.365d', 'last year')],
];

/** The time that is shown: chosen by a word in the address. */
export function useSpan(): [Span, (v: string) => void] {
  const [q, set] = useFilters();
  return [oneOf(q.span, words) ?? '24h', (v) => set({ span: v === '24h' ? undefined : v })];
}

export function SpanPick() {
  const [span, set] = useSpan();
  return <Pick name={t('charts.span', 'Time')} value={span} options={spanNames()} onChange={set} />;
}

/** When the shown time begins: it moves on by a five hundredth of it, a minute at least, while somebody looks. */
function useSince(span: Span): string {
  const [at, setAt] = useState(now);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setAt(now()), 15_000);
    return () => clearInterval(timer);
  }, []);
  const unit = Math.max(60_000, spans[span] * 2);
  return new Date(Math.floor(at / unit) * unit - spans[span] * 1000).toISOString().replace('.000Z', 'Z');
}

/** All charts of a server, or of the pipeline, or those that are named. */
export function Charts({ server, only }: { server?: string; only?: string[] }) {
  const list = useAnswer('/charts', { of: server ? 'server' : 'pipeline' }, { every: 0 });
  const [span] = useSpan();
  const since = useSince(span);
  return (
    <Loaded of={list}>
      {(l) => (
        <Columns wide={420}>
          {l.items
            .filter((c) => !only || only.includes(c.name))
            .map((c) => (
              <OneChart key={c.name} of={c} server={server} since={since} />
            ))}
        </Columns>
      )}
    </Loaded>
  );
}

function OneChart({ of: c, server, since }: { of: ChartInfo; server?: string; since: string }) {
  const s = useStyles2(styles);
  const data = useAnswer('/charts/{name}', { name: c.name as never, server, since }, { every: 0 });
  return (
    <div className={s.chart}>
      <div className={s.head}>
        <h3 className={s.title} title={c.about}>
          {c.title}
        </h3>
        {data.data && <ExploreLink of={data.data} />}
      </div>
      {data.error && !data.data ? (
        <p className={s.left} role="status">
          {sentence(data.error.message)} {data.error.status >= 500 && sentence(data.error.hint)}{' '}
          <Button size="sm" variant="secondary" fill="text" icon="sync" disabled={data.isFetching} onClick={() => void data.refetch()}>
            {t('states.retry', 'Retry')}
          </Button>
        </p>
      ) : (
        <Loaded of={data}>{(d) => <Drawn of={d} />}</Loaded>
      )}
    </div>
  );
}

/** A way to what the chart asks in Grafana's Explore, where there is one. */
function ExploreLink({ of: d }: { of: ChartData }) {
  const { explore } = useHost();
  const href = d.since && d.before && explore?.metrics(d.queries, Date.parse(d.since), Date.parse(d.before));
  return href ? <LinkButton size="sm" variant="secondary" fill="text" icon="compass" href={href} aria-label={t('charts.explore', 'Explore: {{chart}}', { chart: d.chart.title, ...plain })} tooltip={t('charts.exploreIt', 'Open in Explore')} /> : null;
}

function Drawn({ of: d }: { of: ChartData }) {
  const s = useStyles2(styles);
  const times = useMemo(() => d.times.map((at) => Date.parse(at)), [d.times]);
  return (
    <>
      <Chart label={d.chart.title} unit={d.chart.unit} times={times} step={d.step_seconds * 1000} lines={d.series} />
      {d.left_out_series > 0 && <p className={s.left}>{plural('charts.left', d.left_out_series, 'One more line is left out.', '{{n}} more lines are left out.')}</p>}
    </>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  chart: css({ minWidth: 0 }),
  head: css({ display: 'flex', alignItems: 'center', justifyContent: 'space-between', minHeight: theme.spacing(theme.components.height.sm) }),
  title: css({ margin: 0, fontSize: theme.typography.body.fontSize, fontWeight: theme.typography.fontWeightMedium }),
  left: css({ margin: 0, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
});
