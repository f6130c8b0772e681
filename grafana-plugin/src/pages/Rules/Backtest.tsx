// Trying a rule on the past, with how far it is and what it would have done.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, Stack, useStyles2 } from '@grafana/ui';
import { memo, useEffect, useRef, useState } from 'react';
import type { BacktestLine, BacktestProgress, BacktestResult } from '../../api/schema';
import { Bars } from '../../components/Bars';
import { Pick } from '../../components/Filters';
import { Item, Line, List } from '../../components/List';
import { ServerLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Data, Dim, When } from '../../components/Text';
import { absolute, clean, countServers, number, plural, sentence } from '../../format';
import { useHost } from '../../host';

const countTimes = (n: number) => plural('try.times', n, '1 time', '{{n}} times');
const countRecords = (n: number) => plural('try.records', n, '1 record', '{{n}} records');
const ranges: Array<[string, () => string]> = [
  ['86400', () => t('try.day', 'the last day')],
  ['604800', () => t('try.week', 'the last 7 days')],
  ['2592000', () => t('try.month', 'the last 30 days')],
  ['7776000', () => t('try.quarter', 'the last 90 days')],
];

type Run = { state: 'idle' } | { state: 'runs'; progress?: BacktestProgress } | { state: 'failed'; text: string } | { state: 'done'; result: BacktestResult; yaml: string };

export function Backtest({ yaml, disabled }: { yaml: string; disabled: boolean }) {
  const host = useHost();
  const [seconds, setSeconds] = useState('604800');
  const [run, setRun] = useState<Run>({ state: 'idle' });
  const stop = useRef<AbortController>();
  useEffect(() => () => stop.current?.abort(), []);
  const start = async () => {
    const end = new AbortController();
    stop.current = end;
    setRun({ state: 'runs' });
    let last: Run = { state: 'failed', text: t('try.broken', 'It broke off before the end. Try again, or a shorter time.') };
    try {
      const answer = await host.lines({ method: 'POST', path: '/rules/backtest', body: { yaml, since_seconds: Number(seconds) }, signal: end.signal }, (line) => {
        const l = line as BacktestLine;
        if (l.error) {
          last = { state: 'failed', text: `${sentence(l.error)} ${sentence(l.hint)}` };
        } else if (l.result.length) {
          last = { state: 'done', result: l.result[0], yaml };
        } else if (l.progress.length && !end.signal.aborted) {
          setRun({ state: 'runs', progress: l.progress[0] });
        }
      });
      if (answer.status !== 200) {
        const said = (answer.json ?? {}) as { error?: string; hint?: string };
        last = { state: 'failed', text: said.error ? `${sentence(said.error)} ${sentence(said.hint ?? '')}` : t('try.unreachable', 'The ruler does not answer.') };
      }
    } catch {
      last = end.signal.aborted ? { state: 'idle' } : last;
    }
    if (stop.current === end) {
      setRun(last);
    }
  };
  const runs = run.state === 'runs';
  return (
    <Panel title={t('try.title', 'Try it on the past')}>
      <Stack wrap="wrap" alignItems="flex-end" gap={1}>
        <Pick name={t('try.range', 'On')} value={seconds} onChange={setSeconds} options={ranges.map(([v, name]) => [v, name()])} />
        {runs ? (
          <Button key="stop" variant="secondary" icon="times" onClick={() => stop.current?.abort()}>
            {t('try.cancel', 'Stop')}
          </Button>
        ) : (
          <Button key="go" variant="secondary" icon="history" disabled={disabled} onClick={() => void start()}>
            {t('try.go', 'Try it')}
          </Button>
        )}
        {disabled && !runs && <Dim>{t('try.mend', 'Mend the mistakes first.')}</Dim>}
      </Stack>
      <div role="status">
        {runs && <Progress of={run.progress} />}
        {run.state === 'failed' && <Alert severity="error" title={run.text} />}
        {run.state === 'done' && run.yaml !== yaml && <Alert severity="info" title={t('try.old', 'The text was changed since: this is about the one before.')} />}
      </div>
      {run.state === 'done' && <Outcome of={run.result} />}
    </Panel>
  );
}

function Progress({ of: p }: { of?: BacktestProgress }) {
  const s = useStyles2(styles);
  const whole = p?.partitions ?? 1;
  return (
    <div>
      <progress className={s.bar} max={whole} value={p?.partition ?? 0} aria-label={t('try.progress', 'How far it is')} />
      <Dim>
        {p
          ? t('try.read', 'part {{n}} of {{whole}}, {{records}} read, fired {{times}}', { n: Math.min(whole, p.partition + 1), whole, records: countRecords(p.records), times: countTimes(p.fired) })
          : t('try.begins', 'It begins …')}{' '}
        {p?.at && <When at={p.at} />}
      </Dim>
    </div>
  );
}

const Outcome = memo(function Outcome({ of: r }: { of: BacktestResult }) {
  const s = useStyles2(styles);
  const c = r.tried;
  const today = r.today[0];
  return (
    <>
      <p className={s.sum}>
        {t('try.sum', 'Would have fired {{times}} on {{servers}}, {{k}} cleared within 5 minutes, {{open}} still open.', { times: countTimes(c.fired), servers: countServers(c.servers), k: number(c.cleared_within_5m), open: number(c.open) })}
      </p>
      {today && (
        <p>
          {t('try.today', 'As it is today: {{times}} on {{servers}}, {{k}} cleared within 5 minutes.', { times: countTimes(today.fired), servers: countServers(today.servers), k: number(today.cleared_within_5m) })}
        </p>
      )}
      {r.warnings.map((w) => (
        <Alert key={w} severity="warning" title={sentence(w)} />
      ))}
      <Dim>
        {t('try.covered', '{{records}}, covered since', { records: countRecords(r.records) })} <When at={r.from} />
        {r.spans.filter((v) => v.note).map((v) => ` · ${v.source}: ${clean(v.note)}`)}
      </Dim>
      {c.fired > 0 && <Days of={r} />}
      {r.episodes.length > 0 && <TimeLine of={r} />}
      {r.examples.length > 0 && <Examples of={r} />}
    </>
  );
});

const day = 86400e3;

/** How often a day, as it is tried and as it is today. */
function Days({ of: r }: { of: BacktestResult }) {
  const first = Math.floor(Date.parse(r.from ?? r.since ?? '') / day) * day;
  const last = Math.floor(Date.parse(r.to ?? '') / day) * day;
  const times = Array.from({ length: Math.max(1, (last - first) / day + 1) }, (_, i) => first + i * day);
  const values = (days: Array<{ day: string; fired: number }>) => times.map((at) => days.find((d) => Date.parse(d.day + 'T00:00:00Z') === at)?.fired ?? 0);
  return <Bars label={t('try.days', 'How often it would have fired')} count={countTimes} times={times} step={day} series={[{ id: 'tried', name: t('try.tried', 'this text'), values: values(r.tried.days), tone: 'warning' }]} height={120} />;
}

const rows = 30;

/** When it fired and cleared, a line per server. */
function TimeLine({ of: r }: { of: BacktestResult }) {
  const s = useStyles2(styles);
  const from = Date.parse(r.from ?? r.since ?? '');
  const to = Date.parse(r.to ?? '');
  const servers = new Map<string, typeof r.episodes>();
  for (const e of r.episodes) {
    servers.set(e.server_id, [...(servers.get(e.server_id) ?? []), e]);
  }
  const most = [...servers.values()].sort((a, b) => b.length - a.length);
  const x = (at: number) => (Math.min(1, Math.max(0, (at - from) / Math.max(1, to - from))) * 1000);
  return (
    <figure className={s.figure} aria-label={t('try.timeline', 'When it would have fired, by server')}>
      {most.slice(0, rows).map((list) => (
        <div key={list[0].server_id} className={s.row}>
          <span className={s.name}>
            <ServerLink id={list[0].server_id} name={list[0].server} />
          </span>
          <svg className={s.track} viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label={countTimes(list.length)}>
            <line x1="0" x2="1000" y1="10" y2="10" className={s.axis} />
            {list.map((e, i) => {
              const a = x(Date.parse(e.opened_at ?? ''));
              const b = e.closed_at ? x(Date.parse(e.closed_at)) : 1000;
              return (
                <rect key={i} x={Math.min(a, 996)} y="4" width={Math.max(4, b - a)} height="12" className={e.closed_at ? s.over : s.open}>
                  <title>{`${clean(e.device, 80)} ${absolute(e.opened_at ?? '')} – ${e.closed_at ? absolute(e.closed_at) : t('try.still', 'still open')}`}</title>
                </rect>
              );
            })}
          </svg>
        </div>
      ))}
      <figcaption>
        <span className={s.ends}>
          <Dim>{r.from && <When at={r.from} />}</Dim>
          <Dim>{t('try.legend', 'orange: fired and cleared, red: still open')}</Dim>
          <Dim>{t('try.now', 'now')}</Dim>
        </span>
        {most.length > rows && <Dim>{plural('try.moreServers', most.length - rows, 'and 1 more server', 'and {{n}} more servers')}</Dim>}
      </figcaption>
    </figure>
  );
}

function Examples({ of: r }: { of: BacktestResult }) {
  return (
    <details>
      <summary>{plural('try.examples', r.examples.length, '1 example', '{{n}} examples')}</summary>
      <List label={t('try.examplesLabel', 'Examples')}>
        {r.examples.map((e) => (
          <Item key={e.notification.id} after={<Status of={e.notification.state === 'resolved' ? 'resolved' : e.notification.severity} />}>
            <Data max={200}>{e.notification.title}</Data>
            <Line>
              <ServerLink id={e.notification.server_id} name={e.notification.server} />
              <Data max={80}>{e.notification.device}</Data>
              <Dim>
                <When at={e.notification.opened_at} />
              </Dim>
            </Line>
            {e.evidence[0] && <Dim><Data max={300}>{e.evidence[0].reason || e.evidence[0].body}</Data></Dim>}
          </Item>
        ))}
      </List>
    </details>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  bar: css({ display: 'block', width: '100%', maxWidth: 480, height: 10, margin: theme.spacing(1, 0, 0.5), accentColor: theme.colors.primary.main }),
  sum: css({ margin: theme.spacing(1.5, 0, 0.5), fontSize: theme.typography.h5.fontSize }),
  figure: css({ margin: theme.spacing(2, 0) }),
  row: css({ display: 'grid', gridTemplateColumns: 'minmax(90px, 180px) 1fr', gap: theme.spacing(1), alignItems: 'center' }),
  name: css({ overflow: 'hidden', textOverflow: 'ellipsis', whiteSpace: 'nowrap' }),
  track: css({ width: '100%', height: 20 }),
  axis: css({ stroke: theme.colors.border.medium }),
  over: css({ fill: theme.colors.warning.main }),
  open: css({ fill: theme.colors.error.main }),
  ends: css({ display: 'flex', flexWrap: 'wrap', justifyContent: 'space-between', gap: theme.spacing(0, 2), marginTop: theme.spacing(0.5) }),
});
