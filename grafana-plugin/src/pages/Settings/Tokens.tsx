import { t } from '@grafana/i18n';
import { Button, Field, Input } from '@grafana/ui';
import { useState } from 'react';
import { now, useAnswer, useChange } from '../../api/client';
import type { TokenAnswer, TokenInfo } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { oneOf, useFilters } from '../../components/useFilters';
import { plain } from '../../format';
import { Form, Refused, Secret, Sure, useDeed } from './parts';
import { roles } from './roles';

const day = 86400;
const shows = ['all'] as const;

const ended = (k: TokenInfo) => k.revoked_at !== null || (k.expires_at !== null && Date.parse(k.expires_at) <= now());

export function Tokens() {
  const list = useAnswer('/tokens', {});
  const add = useChange('POST', '/tokens');
  const revoke = useChange('DELETE', '/tokens/{id}');
  const [q, set] = useFilters();
  const all = oneOf(q.show, shows) === 'all';
  const [no, act] = useDeed();
  const [made, setMade] = useState<TokenAnswer>();
  const [sent, setSent] = useState(0); // empties the form
  const [role, setRole] = useState('viewer');
  const [kind, setKind] = useState('token');
  const [ttl, setTtl] = useState(String(90 * day));
  const columns: Array<Column<TokenInfo>> = [
    { id: 'name', name: () => t('login.name', 'Name'), cell: (k) => <Data max={64}>{k.name}</Data> },
    { id: 'kind', name: () => t('tokens.kind', 'Kind'), cell: (k) => (k.kind === 'plugin' ? t('tokens.plugin', 'plugin') : t('tokens.program', 'program')) },
    { id: 'role', name: () => t('account.role', 'Role'), cell: (k) => k.role },
    { id: 'used', name: () => t('tokens.used', 'Last use'), cell: (k) => <When at={k.used_at} /> },
    { id: 'created', name: () => t('tokens.made', 'Made'), cell: (k) => <><When at={k.created_at} /> {t('users.by', 'by')} <Data max={40}>{k.created_by}</Data></> },
    {
      id: 'ends', name: () => t('tokens.ends', 'Ends'),
      cell: (k) => (k.revoked_at ? <>{t('tokens.revoked', 'revoked')} <When at={k.revoked_at} /> {t('users.by', 'by')} <Data max={40}>{k.revoked_by}</Data></> : <When at={k.expires_at} />),
    },
    {
      id: 'do', name: () => t('users.do', 'Do'),
      cell: (k) => (ended(k) ? undefined : <Sure what={t('tokens.revoke', 'Revoke')} yes={t('tokens.revokeYes', 'Revoke {{name}}', { name: k.name, ...plain })} label={k.name} busy={revoke.isPending} act={() => void act(() => revoke.mutateAsync({ params: { id: k.id } }))} />),
    },
  ];
  return (
    <Rows>
      <Panel title={t('tokens.new', 'Make a token')}>
        <Form key={sent} send={(texts) => void act(async () => (setMade(await add.mutateAsync({ params: {}, body: { name: texts.name, role, kind, ttl_seconds: Number(ttl) } })), setSent(sent + 1)))}>
          <Field label={t('tokens.whose', 'Whose it is')} noMargin>
            <Input id="token-name" name="name" autoComplete="off" autoCapitalize="none" spellCheck={false} maxLength={64} pattern="[A-Za-z0-9._@\-]+" title={t('welcome.name', 'Letters, digits and . _ - @')} required />
          </Field>
          <Pick name={t('account.role', 'Role')} value={role} options={roles.map((r) => [r, r])} onChange={setRole} />
          <Pick name={t('tokens.for', 'For')} value={kind} options={[['token', t('tokens.aProgram', 'a program')], ['plugin', t('tokens.aPlugin', 'a plugin such as Grafana’s')]]} onChange={setKind} />
          <Pick name={t('tokens.endsAfter', 'Ends after')} value={ttl} options={[[String(30 * day), t('tokens.30', '30 days')], [String(90 * day), t('tokens.90', '90 days')], [String(365 * day), t('tokens.year', 'a year')], ['0', t('time.never', 'never')]]} onChange={setTtl} />
          <Button type="submit" disabled={add.isPending}>{t('tokens.make', 'Make it')}</Button>
        </Form>
        <p><Dim>{kind === 'plugin' ? t('tokens.pluginText', 'A plugin says for whom it asks: give it the highest role that anybody may have by it.') : t('tokens.programText', 'A program sends it as Authorization: Bearer.')}</Dim></p>
      </Panel>
      <Refused of={no} />
      {made && (
        <Secret key={made.value} title={t('tokens.madeFor', 'The token of {{name}}', { name: made.token.name, ...plain })} value={made.value} done={() => setMade(undefined)}>
          {t('tokens.once', 'It is shown this once: the ruler keeps only a hash of it.')}
        </Secret>
      )}
      <Panel title={t('tokens.all', 'Tokens')} extra={<Pick name={t('tokens.show', 'Show')} value={all ? 'all' : ''} options={[['', t('tokens.valid', 'valid ones')], ['all', t('tokens.allOf', 'all, also ended')]]} onChange={(show) => set({ show })} />}>
        <Loaded of={list}>
          {(l) => {
            const rows = all ? l.items : l.items.filter((k) => !ended(k));
            return rows.length ? <Table label={t('tokens.all', 'Tokens')} columns={columns} rows={rows} id={(k) => k.id} /> : <Empty title={t('tokens.none', 'No token.')} icon="search">{t('tokens.noneText', 'Programs on other machines, Grafana and Prometheus need one each.')}</Empty>;
          }}
        </Loaded>
      </Panel>
    </Rows>
  );
}
