// How well records flow: in = out + dropped + waiting, at every stage.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, useStyles2 } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import type { Partition, Pipeline, Sink, Stage } from '../../api/schema';
import { Charts, SpanPick } from '../../components/Charts';
import { GrafanaLinks } from '../../components/GrafanaLinks';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { bytes, number, plural, sentence, span } from '../../format';
import { useHost } from '../../host';
import { StoragePanel } from './StoragePanel';

export default function PipelinePage() {
  const { Page } = useHost();
  const pipeline = useAnswer('/pipeline', {}, { every: 3000 });
  return (
    <Page title={t('pipeline.title', 'Pipeline')} actions={pipeline.data && <Status of={pipeline.data.ok ? 'ok' : 'critical'} />}>
      <Loaded of={pipeline}>{(p) => <Shown of={p} />}</Loaded>
    </Page>
  );
}

const stages: Array<Column<Stage>> = [
  { id: 'name', name: () => t('pipeline.column.stage', 'Stage'), cell: (s) => <Data max={60}>{s.name}</Data> },
  { id: 'in', name: () => t('pipeline.column.in', 'In'), number: true, cell: (s) => number(s.in_records) },
  { id: 'out', name: () => t('pipeline.column.out', 'Out'), number: true, cell: (s) => number(s.out_records) },
  { id: 'dropped', name: () => t('pipeline.column.dropped', 'Dropped'), number: true, cell: (s) => <>{number(s.dropped_records)} {s.dropped_by_reason.map((r) => <Dim key={r.reason}> <Data max={40}>{r.reason}</Data> {number(r.records)}</Dim>)}</> },
  { id: 'waiting', name: () => t('pipeline.column.waiting', 'Waiting'), number: true, cell: (s) => number(s.waiting_records) },
];
const sinks: Array<Column<Sink>> = [
  { id: 'name', name: () => t('pipeline.column.sink', 'Sink'), cell: (s) => <Data max={60}>{s.name}</Data> },
  { id: 'state', name: () => t('pipeline.column.state', 'State'), cell: (s) => <Status of={s.ok ? 'ok' : 'warning'} /> },
  { id: 'lag', name: () => t('pipeline.column.behind', 'Entries behind'), number: true, cell: (s) => number(s.lag_entries) },
  { id: 'error', name: () => t('pipeline.column.error', 'Error'), cell: (s) => s.error && <Data max={300}>{s.error}</Data> },
];
const partitions: Array<Column<Partition>> = [
  { id: 'n', name: () => t('pipeline.column.partition', 'Partition'), cell: (p) => (p.partition === 1000 ? t('pipeline.fleet', 'fleet') : p.partition === 1001 ? t('pipeline.metrics', 'metric rules') : p.partition) },
  { id: 'entry', name: () => t('pipeline.column.entry', 'Entry'), number: true, cell: (p) => <>{number(p.entry)} {p.head !== null && <Dim>/ {number(p.head)}</Dim>}</> },
  { id: 'time', name: () => t('pipeline.column.time', 'Stream time'), cell: (p) => <When at={p.stream_time} /> },
  { id: 'received', name: () => t('records.received', 'Received'), number: true, cell: (p) => number(p.ledger.received_records) },
  { id: 'missing', name: () => t('records.missing', 'Missing'), number: true, cell: (p) => number(p.ledger.missing_records) },
  { id: 'clock', name: () => t('pipeline.column.clock', 'Clock'), cell: (p) => (p.frozen ? <Data max={120}>{p.frozen}</Data> : t('pipeline.runs', 'runs')) },
];

function Shown({ of: p }: { of: Pipeline }) {
  const s = useStyles2(styles);
  const tile = (n: number, word: string, bad = false) => (
    <div className={s.tile}>
      <span className={bad && n > 0 ? s.bad : s.n}>{number(n)}</span>
      <Dim>{word}</Dim>
    </div>
  );
  return (
    <Rows>
      {p.problems.map((text) => (
        <Alert key={text} severity="warning" title={sentence(text)} />
      ))}
      <Panel title={t('pipeline.records', 'Records')} extra={p.lag_seconds !== null && <Dim>{t('pipeline.lag', 'behind by')} {span(p.lag_seconds)}</Dim>}>
        <div className={s.tiles}>
          {tile(p.ledger.received_records, t('pipeline.received', 'records received'))}
          {tile(p.ledger.missing_records, t('pipeline.missing', 'missing'), true)}
          {tile(p.ledger.duplicate_records, t('pipeline.twice', 'duplicates, counted once'))}
          {tile(p.ledger.late_records, t('pipeline.late', 'late'))}
          {tile(p.ledger.declared_lost_records, t('pipeline.lost', 'declared lost'), true)}
          {tile(p.ledger.rejected_frames, t('pipeline.rejected', 'frames rejected'), true)}
        </div>
      </Panel>
      <Columns wide={420}>
        {p.bridge.configured && (
          <Panel title={t('pipeline.stages', 'Stages')}>
            {p.stages.length ? <Table label={t('pipeline.stages', 'Stages')} columns={stages} rows={p.stages} id={(x) => x.name} /> : <Empty icon="search" title={p.bridge.reachable ? t('pipeline.noStages', 'The bridge names no stages.') : t('pipeline.noBridge', 'The bridge does not answer.')}><Data max={300}>{p.bridge.error}</Data></Empty>}
          </Panel>
        )}
        {p.sinks.length > 0 && (
          <Panel title={t('pipeline.sinks', 'Sinks')}>
            <Table label={t('pipeline.sinks', 'Sinks')} columns={sinks} rows={p.sinks} id={(x) => x.name} />
          </Panel>
        )}
      </Columns>
      <StoragePanel of={p.storage} />
      {p.storage.configured && (
        <Panel title={t('pipeline.charts', 'Over time')} extra={<><GrafanaLinks to="pipeline" /> <SpanPick /></>}>
          <Charts />
        </Panel>
      )}
      <Panel title={t('pipeline.ruler', 'Ruler, per partition')} extra={<Dim>{t('pipeline.store', 'store')} {bytes(p.store_bytes)}</Dim>}>
        {p.partitions.length ? <Partitions of={p.partitions} run={p.clocks_run} /> : <Empty icon="hourglass" title={t('pipeline.empty', 'The ruler has read nothing from the stream yet.')} />}
      </Panel>
    </Rows>
  );
}

/** All of them; folded away while they run, none is behind, and none says anything. */
function Partitions({ of, run }: { of: Partition[]; run: boolean }) {
  const table = <Table label={t('pipeline.ruler', 'Ruler, per partition')} columns={partitions} rows={of} id={(x) => String(x.partition)} status={(x) => (x.frozen ? 'warning' : undefined)} />;
  if (!run || of.some((p) => p.frozen || p.ledger.missing_records > 0)) {
    return table;
  }
  return (
    <details>
      <summary>{plural('pipeline.allWell', of.length, '1 runs, nothing is missing', 'All {{n}} run, nothing is missing')}</summary>
      {table}
    </details>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  tiles: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1, 4) }),
  tile: css({ display: 'flex', flexDirection: 'column' }),
  n: css({ fontSize: theme.typography.h3.fontSize, fontVariantNumeric: 'tabular-nums' }),
  bad: css({ fontSize: theme.typography.h3.fontSize, fontVariantNumeric: 'tabular-nums', color: theme.colors.error.text }),
});
