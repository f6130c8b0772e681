// The ledger: what of its records arrived.
import { t } from '@grafana/i18n';
import { useAnswer } from '../../api/client';
import type { Sequence } from '../../api/schema';
import { Panel } from '../../components/Panel';
import { Loaded } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { number, plural, words } from '../../format';

const columns: Array<Column<Sequence>> = [
  { id: 'category', name: () => t('records.category', 'Category'), cell: (q) => words(q.category) },
  { id: 'producer', name: () => t('records.producer', 'Producer'), cell: (q) => <><Data max={40}>{q.producer.split('/')[0]}</Data> {q.unassured && <Dim>{t('records.unassured', 'unassured')}</Dim>}</> },
  { id: 'received', name: () => t('records.received', 'Received'), number: true, cell: (q) => number(q.received_records) },
  { id: 'missing', name: () => t('records.missing', 'Missing'), number: true, cell: (q) => (q.unassured ? <Dim>{t('records.blind', 'cannot tell')}</Dim> : number(q.missing_records)) },
  { id: 'twice', name: () => t('records.twice', 'Twice'), number: true, cell: (q) => number(q.duplicate_records) },
  { id: 'late', name: () => t('records.late', 'Late'), number: true, cell: (q) => number(q.late_records) },
  { id: 'lost', name: () => t('records.lost', 'Declared lost'), number: true, cell: (q) => number(q.declared_lost_records) },
  { id: 'since', name: () => t('records.since', 'Run since'), cell: (q) => <When at={q.epoch_start} /> },
];

export function Records({ server }: { server: string }) {
  const ledger = useAnswer('/servers/{id}/ledger', { id: server });
  return (
    <Panel title={t('records.title', 'Records')}>
      <Loaded of={ledger}>
        {(l) => (
          <>
            <p>
              <Data max={300}>{l.text}</Data>
            </p>
            {l.sequences.length > 0 && (
              <details>
                <summary>{plural('records.sequences', l.sequences.length, '1 sequence', '{{n}} sequences')}</summary>
                <Table label={t('records.title', 'Records')} columns={columns} rows={l.sequences} id={(q) => q.producer + q.category} status={(q) => (q.missing_records ? 'critical' : undefined)} />
              </details>
            )}
          </>
        )}
      </Loaded>
    </Panel>
  );
}
