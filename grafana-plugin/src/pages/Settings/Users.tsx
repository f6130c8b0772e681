import { t } from '@grafana/i18n';
import { Button, Field, Input } from '@grafana/ui';
import { useState } from 'react';
import { useAnswer, useChange } from '../../api/client';
import type { UserInfo, UserLink } from '../../api/schema';
import { Pick } from '../../components/Filters';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Table, type Column } from '../../components/Table';
import { Data, Dim, When } from '../../components/Text';
import { plain } from '../../format';
import { Buttons, Form, Refused, Secret, Sure, useDeed } from './parts';
import { roles, roleText } from './roles';

const roleOptions = roles.map((r): [string, string] => [r, r]);

export function Users() {
  const list = useAnswer('/users', {});
  const me = useAnswer('/me', {}, { every: 0 });
  const add = useChange('POST', '/users');
  const renew = useChange('POST', '/users/{id}/link');
  const setRole = useChange('PUT', '/users/{id}/role');
  const remove = useChange('DELETE', '/users/{id}');
  const [no, act] = useDeed();
  const [link, setLink] = useState<UserLink>();
  const [sent, setSent] = useState(0); // empties the form
  const [role, setRoleText] = useState('viewer');
  const busy = add.isPending || renew.isPending || setRole.isPending || remove.isPending;
  const self = (u: UserInfo) => me.data?.via === 'session' && me.data.name === u.name;
  const columns: Array<Column<UserInfo>> = [
    { id: 'name', name: () => t('login.name', 'Name'), cell: (u) => <><Data max={64}>{u.name}</Data> {self(u) && <Dim>{t('users.you', '(you)')}</Dim>}</> },
    { id: 'state', name: () => t('users.state', 'State'), cell: (u) => <State of={u} /> },
    { id: 'login', name: () => t('users.login', 'Last login'), cell: (u) => <When at={u.login_at} /> },
    { id: 'created', name: () => t('users.created', 'Invited'), cell: (u) => <><When at={u.created_at} /> {t('users.by', 'by')} <Data max={40}>{u.created_by}</Data></>, minor: true },
    {
      id: 'role', name: () => t('account.role', 'Role'),
      cell: (u) => <Pick name={t('users.roleOf', 'Role of {{name}}', { name: u.name, ...plain })} bare value={u.role} options={roleOptions} onChange={(r) => void act(() => setRole.mutateAsync({ params: { id: u.id }, body: { role: r } }))} />,
    },
    {
      id: 'do', name: () => t('users.do', 'Do'),
      cell: (u) => (
        <Buttons>
          <Button size="sm" variant="secondary" fill="outline" disabled={busy} aria-label={`${t('users.link', 'New link')}: ${u.name}`} onClick={() => void act(async () => setLink(await renew.mutateAsync({ params: { id: u.id }, body: {} })))}>
            {t('users.link', 'New link')}
          </Button>
          <Sure what={t('users.remove', 'Remove')} yes={t('users.removeYes', 'Remove {{name}}', { name: u.name, ...plain })} label={u.name} busy={busy} act={() => void act(() => remove.mutateAsync({ params: { id: u.id } }))} />
        </Buttons>
      ),
    },
  ];
  return (
    <Rows>
      <Panel title={t('users.invite', 'Invite somebody')}>
        <Form key={sent} send={(texts) => void act(async () => (setLink(await add.mutateAsync({ params: {}, body: { name: texts.name, role } })), setSent(sent + 1)))}>
          <Field label={t('login.name', 'Name')} noMargin>
            <Input id="user-name" name="name" autoComplete="off" autoCapitalize="none" spellCheck={false} maxLength={64} pattern="[A-Za-z0-9._@\-]+" title={t('welcome.name', 'Letters, digits and . _ - @')} required />
          </Field>
          <Pick name={t('account.role', 'Role')} value={role} options={roleOptions} onChange={setRoleText} />
          <Button type="submit" disabled={busy}>{t('users.make', 'Make the link')}</Button>
        </Form>
        <p><Dim>{role}: {roleText(role)}.</Dim></p>
      </Panel>
      <Refused of={no} />
      {link && (
        <Secret key={link.path} title={t('users.linkFor', 'A link for {{name}}', { name: link.user.name, ...plain })} value={window.location.origin + link.path} done={() => setLink(undefined)}>
          {t('users.linkText', 'Whoever opens it chooses the password: send it to that person only. It works once, is shown this once, and ends')} <When at={link.expires_at} />.
        </Secret>
      )}
      <Panel title={t('users.all', 'Who may log in')}>
        <Loaded of={list}>
          {(l) =>
            l.items.length ? (
              <Table label={t('users.all', 'Who may log in')} columns={columns} rows={l.items} id={(u) => u.id} />
            ) : (
              <Empty title={t('users.none', 'Nobody yet')} icon="rocket">{t('users.noneText', 'Invite yourself first, as admin. Then set api.login to required in the ruler’s file where others can reach this page.')}</Empty>
            )
          }
        </Loaded>
      </Panel>
    </Rows>
  );
}

function State({ of: u }: { of: UserInfo }) {
  return (
    <>
      {u.state === 'invited' ? t('users.invited', 'invited') : u.state === 'expired' ? t('users.expired', 'never came, the link has ended') : t('users.active', 'active')}
      {u.link_until && <Dim> {t('users.linkEnds', '(link ends')} <When at={u.link_until} />)</Dim>}
    </>
  );
}
