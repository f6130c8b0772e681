// Site, rack, role and owner of many servers at once. Each server answers for itself: who was changed by somebody else
// meanwhile is named, and can be read again.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, Input, useStyles2 } from '@grafana/ui';
import { useQueryClient } from '@tanstack/react-query';
import { useId, useState } from 'react';
import { call, told, useAnswer } from '../../api/client';
import type { LabelChange, LabelsResult, Server } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Item, List } from '../../components/List';
import { ServerLink } from '../../components/Links';
import { Panel } from '../../components/Panel';
import { Data, Dim, Tag } from '../../components/Text';
import { clean, number, plural, sentence } from '../../format';
import { useHost } from '../../host';
import { everyServer, type Query } from './useServers';

export interface Chosen {
  /** all that match */
  all: boolean;
  some: Record<string, Server>;
  /** except these, where it is all */
  but: Record<string, Server>;
}

/** How many they are, of as many as match. */
export const countOf = (c: Chosen, total: number) => (c.all ? Math.max(0, total - Object.keys(c.but).length) : Object.keys(c.some).length);

type Label = 'site' | 'rack' | 'role' | 'owner';
type Edit = { do: 'leave' | 'set' | 'clear'; value: string };
const labels: Array<[Label, () => string]> = [
  ['site', () => t('servers.site', 'Site')],
  ['rack', () => t('servers.rack', 'Rack')],
  ['role', () => t('servers.role', 'Role')],
  ['owner', () => t('servers.owner', 'Owner')],
];
const untouched: Record<Label, Edit> = { site: { do: 'leave', value: '' }, rack: { do: 'leave', value: '' }, role: { do: 'leave', value: '' }, owner: { do: 'leave', value: '' } };
const atOnce = 250; // servers in a request: the bridge is asked one by one

interface Outcome {
  changed: number;
  same: number;
  failed: Array<{ server: Server; result: LabelsResult }>;
  stopped: string;
}

export function EditLabels({ of: chosen, total, query, keep }: { of: Chosen; total: number; query: Query; keep: (servers: Server[]) => void }) {
  const s = useStyles2(styles);
  const host = useHost();
  const client = useQueryClient();
  const [edits, setEdits] = useState(untouched);
  const [progress, setProgress] = useState('');
  const [outcome, setOutcome] = useState<Outcome>();
  const count = countOf(chosen, total);
  const value = (l: Label) => (edits[l].do === 'leave' ? null : edits[l].do === 'clear' ? '' : edits[l].value.trim());
  const ready = labels.some(([l]) => edits[l].do !== 'leave') && labels.every(([l]) => edits[l].do !== 'set' || edits[l].value.trim() !== '');
  const apply = async () => {
    const versions = new Map<string, string>(); // of those that were answered
    const out: Outcome = { changed: 0, same: 0, failed: [], stopped: '' };
    setOutcome(undefined);
    setProgress(t('labels.reading', 'Reading …'));
    try {
      const servers = chosen.all ? (await everyServer(host, query)).filter((v) => !(v.id in chosen.but)) : Object.values(chosen.some);
      const byId = new Map(servers.map((v) => [v.id, v]));
      for (let i = 0; i < servers.length; i += atOnce) {
        const changes = servers.slice(i, i + atOnce).map((v): LabelChange => ({ server_id: v.id, labels_version: v.labels_version, site: value('site'), rack: value('rack'), role: value('role'), owner: value('owner') }));
        const answer = await call(host, 'POST', '/labels', {}, { changes });
        for (const result of answer.items) {
          if (!result.error) {
            versions.set(result.server_id, result.labels_version);
          }
          if (result.error) {
            out.failed.push({ server: byId.get(result.server_id) as Server, result });
          } else if (result.changed) {
            out.changed++;
          } else {
            out.same++;
          }
        }
        setProgress(t('labels.progress', '{{n}} of {{all}} …', { n: number(Math.min(servers.length, i + atOnce)), all: number(servers.length) }));
      }
    } catch (e) {
      out.stopped = told(e);
    }
    setProgress('');
    setOutcome(out);
    if (!chosen.all) {
      keep(Object.values(chosen.some).map((v) => ({ ...v, labels_version: versions.get(v.id) ?? v.labels_version })));
    }
    void client.invalidateQueries();
  };
  const again = async () => {
    const servers = (outcome?.failed ?? []).map((f) => f.server);
    setProgress(t('labels.reading', 'Reading …'));
    const fresh = await Promise.all(servers.map((v) => call(host, 'GET', '/servers/{id}', { id: v.id }).then((d) => d.server, () => v)));
    setProgress('');
    setOutcome(undefined);
    keep(fresh);
  };
  return (
    <div className={s.around}>
      <Panel
        title={chosen.all && count === total ? t('labels.titleAll', 'Labels of all {{n}} that match', { n: number(count) }) : plural('labels.titleN', count, 'Labels of one server', 'Labels of {{n}} servers')}
        extra={<Button size="sm" variant="secondary" icon="times" onClick={() => keep([])}>{t('labels.none', 'Select none')}</Button>}
      >
        <form
          className={s.form}
          onSubmit={(e) => {
            e.preventDefault();
            void apply();
          }}
        >
          {labels.map(([l, name]) => (
            <OneLabel key={l} label={l} name={name()} edit={edits[l]} set={(edit) => setEdits({ ...edits, [l]: edit })} />
          ))}
          <Button type="submit" disabled={!ready || progress !== ''}>
            {t('labels.apply', 'Change labels')}
          </Button>
        </form>
        <p role="status" className={s.said}>
          {progress || (outcome ? said(outcome) : t('labels.note', 'What a person sets here holds over what a join token or a pattern of the name says.'))}
        </p>
        {outcome?.stopped && <Alert severity="error" title={t('labels.stopped', 'It went no further')}>{outcome.stopped}</Alert>}
        {outcome && outcome.failed.length > 0 && (
          <>
            <List label={t('labels.failed', 'Not changed')}>
              {outcome.failed.slice(0, 50).map(({ server, result }) => (
                <Item key={server.id} after={result.conflict && <Tag>{t('labels.conflict', 'somebody was faster')}</Tag>}>
                  <ServerLink id={server.id} name={server.name} />{' '}
                  <Dim>
                    <Data max={300}>{`${sentence(result.error)} ${sentence(result.hint)}`}</Data>
                  </Dim>
                </Item>
              ))}
            </List>
            {outcome.failed.length > 50 && <Dim>{t('labels.andMore', 'and {{n}} more', { n: number(outcome.failed.length - 50) })}</Dim>}
            <Button size="sm" variant="secondary" icon="sync" onClick={() => void again()}>
              {t('labels.again', 'Read these again and select them')}
            </Button>
          </>
        )}
      </Panel>
    </div>
  );
}

const said = (o: Outcome) =>
  [
    t('labels.changed', '{{n}} changed.', { n: number(o.changed) }),
    o.same > 0 && t('labels.same', '{{n}} had these labels already.', { n: number(o.same) }),
    o.changed > 0 && t('labels.soon', 'The list shows it within seconds.'),
    o.failed.length > 0 && t('labels.notChanged', '{{n}} not changed:', { n: number(o.failed.length) }),
  ]
    .filter(Boolean)
    .join(' ');

function OneLabel({ label, name, edit, set }: { label: Label; name: string; edit: Edit; set: (edit: Edit) => void }) {
  const s = useStyles2(styles);
  const id = useId();
  const facets = useAnswer('/server-facets', {});
  const known = facets.data?.facets.find((f) => f.name === label)?.values ?? [];
  return (
    <span className={s.label}>
      <Pick
        name={name} value={edit.do} onChange={(v) => set({ ...edit, do: v as Edit['do'] })}
        options={[
          ['leave', t('labels.leave', 'leave')],
          ['set', t('labels.set', 'set to')],
          ['clear', t('labels.clear', 'none')],
        ]}
      />
      {edit.do === 'set' && (
        <>
          <Input width={20} value={edit.value} list={id} maxLength={128} aria-label={t('labels.value', 'New {{name}}', { name })} onChange={(e) => set({ ...edit, value: e.currentTarget.value })} />
          <datalist id={id}>
            {known.filter((v) => v.value).map((v) => <option key={v.value} value={clean(v.value, 128)} />)}
          </datalist>
        </>
      )}
    </span>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  around: css({ marginBottom: theme.spacing(2) }),
  form: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(1.5) }),
  label: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'flex-end', gap: theme.spacing(0.5) }),
  said: css({ margin: theme.spacing(1, 0), color: theme.colors.text.secondary }),
});
