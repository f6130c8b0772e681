// What the stores take of their disks, for how long they keep it, and how long the disks last.
import { t } from '@grafana/i18n';
import type { Storage, StoreDisk, StoreSize } from '../../api/schema';
import { Panel } from '../../components/Panel';
import { Empty } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Dim } from '../../components/Text';
import { bytes, sentence } from '../../format';

/** A disk that lasts for less is told of. */
const soon = 14;

/** 1234567 → "+1.2 MB a day" */
function perDay(n: number): string {
  const size = bytes(Math.abs(Math.round(n)));
  return n < 0 ? t('storage.shrinks', '−{{size}} a day', { size }) : t('storage.grows', '+{{size}} a day', { size });
}

const stores: Array<Column<StoreSize>> = [
  { id: 'name', name: () => t('storage.store', 'Store'), cell: (s) => s.title },
  { id: 'size', name: () => t('storage.size', 'Size'), number: true, cell: (s) => (s.bytes === null ? <Dim>{t('storage.unknown', 'not known')}</Dim> : bytes(s.bytes)) },
  {
    id: 'growth',
    name: () => t('storage.growth', 'Growth'),
    number: true,
    cell: (s) => (s.bytes_per_day === null ? <Dim>{s.name === 'ruler-wal' ? t('storage.wal', 'written anew') : t('storage.young', 'too little history')}</Dim> : perDay(s.bytes_per_day)),
  },
  {
    id: 'keep',
    name: () => t('storage.keep', 'Keeps'),
    cell: (s) => (
      <span>
        {s.keep || (s.name === 'register' ? t('storage.ever', 'everything') : <Dim>–</Dim>)}
        {s.max_bytes !== null && <Dim> {t('storage.max', 'at most {{size}}', { size: bytes(s.max_bytes, true) })}</Dim>}
      </span>
    ),
  },
];

const tight = (d: StoreDisk) => d.free_bytes < 0.1 * d.size_bytes || (d.days_left !== null && d.days_left < soon);

const disks: Array<Column<StoreDisk>> = [
  { id: 'parts', name: () => t('storage.disk', 'Disk of'), cell: (d) => d.parts.join(', ') },
  { id: 'free', name: () => t('storage.free', 'Free'), number: true, cell: (d) => <span>{bytes(d.free_bytes)} <Dim>{t('storage.of', 'of {{size}}', { size: bytes(d.size_bytes) })}</Dim></span> },
  { id: 'rate', name: () => t('storage.rate', 'Fills by'), number: true, cell: (d) => (d.bytes_per_day === null ? <Dim>–</Dim> : perDay(d.bytes_per_day)) },
  { id: 'left', name: () => t('storage.forecast', 'Forecast'), cell: (d) => sentence(d.text) },
];

export function StoragePanel({ of: s }: { of: Storage }) {
  const title = t('storage.title', 'Stores and disks');
  if (!s.configured) {
    return (
      <Panel title={title}>
        <Empty icon="search" title={t('storage.none', 'The ruler knows no metrics store.')}>{t('storage.noneText', 'Write metrics.url in its configuration: sizes, growth and charts come from there.')}</Empty>
      </Panel>
    );
  }
  if (s.error) {
    return (
      <Panel title={title}>
        <Empty icon="search" title={sentence(s.error)}>{sentence(s.hint)}</Empty>
      </Panel>
    );
  }
  return (
    <Panel title={title}>
      <Table label={t('storage.stores', 'Stores')} columns={stores} rows={s.stores} id={(x) => x.name} />
      {s.disks.length > 0 ? (
        <Table label={t('storage.disks', 'Disks')} columns={disks} rows={s.disks} id={(x) => x.parts.join()} status={(d) => (tight(d) ? 'warning' : undefined)} />
      ) : (
        <Empty icon="hourglass" title={t('storage.noDisks', 'The parts have not said yet how full their disks are.')}>{t('storage.noDisksText', 'VictoriaMetrics gathers it: see docs/operations.md for the names of the jobs.')}</Empty>
      )}
    </Panel>
  );
}
