import { t } from '@grafana/i18n';
import { Button } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import { Filters, Pick, Search } from '../../components/Filters';
import { ChangeItem } from '../../components/items';
import { List } from '../../components/List';
import { Panel } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { oneOf, useFilters } from '../../components/useFilters';
import { words } from '../../format';
import { useHost } from '../../host';

const kinds = ['added', 'removed', 'replaced', 'moved', 'field'] as const;
const categories = ['raid', 'hardware', 'smart', 'sensors', 'updates', 'software', 'agent'] as const;
const types = ['physical_drive', 'virtual_drive', 'controller', 'enclosure', 'memory', 'cpu', 'nic', 'battery', 'disk', 'fan', 'power_supply'];

export default function ChangesPage() {
  const { Page } = useHost();
  const [q, set] = useFilters();
  const list = useAnswer('/changes', { kind: oneOf(q.kind, kinds), category: oneOf(q.category, categories), device_type: q.device_type, serial: q.serial, planned: q.planned === 'yes' ? true : q.planned === 'no' ? false : undefined, before_id: Number(q.before_id) || undefined, limit: 100 });
  const narrowed = q.kind || q.category || q.device_type || q.serial || q.planned;
  const any: [string, string] = ['', t('filters.any', 'any')];
  return (
    <Page title={t('changes.title', 'Changes')} subtitle={t('changes.subtitle', 'What changed when, across the fleet')}>
      <Filters>
        <Search value={q.serial ?? ''} placeholder={t('changes.serial', 'serial number')} onChange={(serial) => set({ serial, before_id: undefined })} />
        <Pick name={t('changes.kind', 'Kind')} value={q.kind ?? ''} onChange={(kind) => set({ kind, before_id: undefined })} options={[any, ...kinds.map((k): [string, string] => [k, k])]} />
        <Pick name={t('changes.part', 'Part')} value={q.device_type ?? ''} onChange={(v) => set({ device_type: v, before_id: undefined })} options={[any, ...types.map((k): [string, string] => [k, words(k)])]} />
        <Pick name={t('changes.category', 'Category')} value={q.category ?? ''} onChange={(category) => set({ category, before_id: undefined })} options={[any, ...categories.map((k): [string, string] => [k, k])]} />
        <Pick name={t('changes.planned', 'Planned')} value={q.planned ?? ''} onChange={(planned) => set({ planned, before_id: undefined })} options={[any, ['yes', t('word.yes', 'yes')], ['no', t('word.no', 'no')]]} />
      </Filters>
      <Loaded of={list}>
        {(l) => (
          <Panel title={q.before_id ? t('changes.older', 'Older changes') : t('changes.newest', 'The newest first')}>
            {l.items.length ? (
              <List>
                {l.items.map((c) => (
                  <ChangeItem key={c.id} of={c} server />
                ))}
              </List>
            ) : (
              <Empty icon={narrowed ? 'search' : 'check-circle'} title={narrowed ? t('changes.noMatch', 'None matches.') : t('tonight.unchanged', 'No part of any server has changed.')} />
            )}
            {q.before_id && (
              <Button variant="secondary" size="sm" onClick={() => set({ before_id: undefined })}>
                {t('changes.first', 'The newest')}
              </Button>
            )}{' '}
            {l.next_before_id > 0 && (
              <Button variant="secondary" size="sm" onClick={() => set({ before_id: l.next_before_id })}>
                {t('changes.next', 'Older')}
              </Button>
            )}
          </Panel>
        )}
      </Loaded>
    </Page>
  );
}
