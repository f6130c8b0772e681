// Planned work: what runs now, what comes, what is over; and a form to plan more.
import { t } from '@grafana/i18n';
import { Alert } from '@grafana/ui';
import { now, useAnswer } from '../../api/client';
import type { Window } from '../../api/schema';
import { Link } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Status } from '../../components/Status';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, Dim, Tag, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { clean, number, plain, until } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { draftOf, fresh, when } from './planned';
import { PlanForm } from './PlanForm';
import { Silences } from './Silences';

const most = 1000; // of what stands there are at most 200, and those of files
const limit = 20;
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export default function PlannedPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const me = useAnswer('/me', {}, { every: 0 });
  const standing = useAnswer('/windows', { limit: most });
  const may = me.data !== undefined && me.data.role !== 'viewer';
  const asks = q.new !== undefined || q.copy !== undefined;
  return (
    <Page
      title={t('planned.title', 'Planned work')}
      subtitle={t('planned.subtitle', 'While it runs, nobody is told of what changes on its servers. What breaks is told.')}
      actions={may && !asks && <Link to={link.planned({ new: 1 })}>{t('planned.new', 'Plan work')}</Link>}
    >
      <Rows>
        {asks && me.data && !may && <Alert severity="info" title={t('planned.editorOnly', 'Only an editor plans work.')} />}
        {asks && may && <Form q={q} close={() => set(Object.fromEntries(Object.keys(q).map((k) => [k, undefined])))} />}
        <Loaded of={standing}>
          {(l) => {
            const of = (...states: string[]) => l.items.filter((w) => states.includes(w.state));
            return (
              <>
                <Panel title={t('planned.running', 'Running now')}>
                  {of('active').length ? <Windows label={t('planned.running', 'Running now')} of={of('active')} /> : <Empty title={t('planned.none', 'No planned work runs now.')} />}
                </Panel>
                <Panel title={t('planned.coming', 'Coming')}>
                  {of('planned', 'broken').length ? (
                    <Windows label={t('planned.coming', 'Coming')} of={of('planned', 'broken')} />
                  ) : (
                    <Empty icon="rocket" title={t('planned.noneComes', 'Nothing is planned.')}>{may && !asks && <Link to={link.planned({ new: 1 })}>{t('planned.new', 'Plan work')}</Link>}</Empty>
                  )}
                </Panel>
              </>
            );
          }}
        </Loaded>
        <Silences may={may} />
        <Over offset={Number(q.offset) || 0} go={(offset) => set({ offset })} />
      </Rows>
    </Page>
  );
}

/** A new plan: empty, prefilled by the address, or like one that was. */
function Form({ q, close }: { q: Record<string, string>; close: () => void }) {
  const from = useAnswer('/windows/{id}', { id: q.copy ?? '' }, { enabled: q.copy !== undefined, every: 0 });
  if (q.copy === undefined) {
    return <PlanForm begin={fresh(q, now(), zone())} close={close} />;
  }
  return <Loaded of={from}>{(d) => <PlanForm key={d.window.id} begin={draftOf(d.window, now(), zone(), true)} close={close} />}</Loaded>;
}

function Over({ offset, go }: { offset: number; go: (offset: number) => void }) {
  const list = useAnswer('/windows', { over: true, limit, offset });
  return (
    <Loaded of={list}>
      {(l) =>
        l.total > 0 && (
          <Panel title={t('planned.over', 'Over')}>
            <Windows label={t('planned.over', 'Over')} of={l.items} />
            <Pager total={l.total} limit={limit} offset={offset} go={go} />
          </Panel>
        )
      }
    </Loaded>
  );
}

/** How it stands, where that is not what the list says already. */
export function State({ of: w }: { of: Window }) {
  switch (w.state) {
    case 'active':
      return <Status of="maintenance" />;
    case 'broken':
      return <Status of="warning" title={clean(w.off, 400)} />;
    case 'ended':
      return <Tag title={clean(w.comment, 300)}>{t('planned.ended', 'ended by {{who}}', { who: clean(w.changed_by, 40), ...plain })}</Tag>;
    case 'over':
      return <Tag>{t('planned.isOver', 'over')}</Tag>;
    default:
      return <Tag>{t('planned.planned', 'planned')}</Tag>;
  }
}

export function Where({ of: w }: { of: Window }) {
  return w.source === 'file' ? <Tag title={t('planned.fileTitle', 'It stands in a rule file, and is changed there')}>{t('planned.file', 'rule file')}</Tag> : null;
}

const columns: Array<Column<Window>> = [
  {
    id: 'what', name: () => t('planned.column.what', 'Work'), width: 200,
    cell: (w) => (
      <div>
        <Link to={link.work(w.id)}><Data max={120}>{w.reason || w.id}</Data></Link> <Where of={w} />
        <div><Dim><Data max={80}>{w.who}</Data></Dim></div>
      </div>
    ),
  },
  {
    id: 'when', name: () => t('planned.column.when', 'When'), width: 190,
    cell: (w) => (
      <div>
        {when(w)}
        <div>
          <Dim>
            {w.state === 'active' && w.until ? t('planned.until', 'until {{until}}', { until: until(w.until, now()) }) : w.next_at ? <>{t('planned.next', 'next')} <When at={w.next_at} /></> : null}
          </Dim>
        </div>
      </div>
    ),
  },
  { id: 'where', name: () => t('planned.column.where', 'On'), width: 140, cell: (w) => <Data max={160}>{w.condition}</Data> },
  { id: 'servers', name: () => t('planned.column.servers', 'Servers'), number: true, cell: (w) => number(w.concerns) },
  { id: 'state', name: () => t('planned.column.state', 'State'), cell: (w) => <State of={w} /> },
];

function Windows({ label, of }: { label: string; of: Window[] }) {
  return <Table label={label} columns={columns} rows={of} id={(w) => w.id} status={(w) => (w.state === 'active' ? 'maintenance' : w.state === 'broken' ? 'warning' : undefined)} />;
}
