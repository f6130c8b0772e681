import { t } from '@grafana/i18n';
import { useAnswer, useChange } from '../../api/client';
import type { JoinToken } from '../../api/schema';
import { Link } from '../../components/Links';
import { Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Pager, Table, type Column } from '../../components/Table';
import { Data, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { link } from '../../routes';
import { Refused, Sure, useDeed } from './parts';

const limit = 100;

const states: Record<string, () => string> = {
  valid: () => t('join.valid', 'valid'),
  used: () => t('join.used', 'used up'),
  expired: () => t('join.expired', 'expired'),
  revoked: () => t('tokens.revoked', 'revoked'),
};

export function JoinTokens() {
  const [q, set] = useFilters();
  const offset = Number(q.offset) || 0;
  const list = useAnswer('/join-tokens', { limit, offset });
  const revoke = useChange('DELETE', '/join-tokens/{id}');
  const [no, act] = useDeed();
  const columns: Array<Column<JoinToken>> = [
    { id: 'id', name: () => t('join.id', 'Token'), cell: (k) => <code><Data max={40}>{k.id}</Data></code> },
    { id: 'state', name: () => t('users.state', 'State'), cell: (k) => states[k.state]?.() ?? k.state },
    { id: 'for', name: () => t('join.for', 'Servers become'), cell: (k) => <Data max={200}>{[k.site, k.rack, k.role, k.owner].filter(Boolean).join(' / ')}</Data> },
    { id: 'left', name: () => t('join.left', 'Left'), number: true, cell: (k) => t('join.of', '{{left}} of {{uses}}', { left: k.left, uses: k.uses }) },
    { id: 'created', name: () => t('tokens.made', 'Made'), cell: (k) => <When at={k.created_at} /> },
    { id: 'ends', name: () => t('tokens.ends', 'Ends'), cell: (k) => <When at={k.expires_at} /> },
    {
      id: 'do', name: () => t('users.do', 'Do'),
      cell: (k) => (k.state === 'valid' ? <Sure what={t('tokens.revoke', 'Revoke')} yes={t('tokens.revokeYes', 'Revoke {{name}}', { name: k.id })} label={k.id} busy={revoke.isPending} act={() => void act(() => revoke.mutateAsync({ params: { id: k.id } }))} /> : undefined),
    },
  ];
  return (
    <Rows>
      <Refused of={no} />
      <Panel title={t('join.title', 'Join tokens')} extra={<Link to={link.add()}>{t('join.make', 'Make one: add a server')}</Link>}>
        <p>{t('join.text', 'A join token lets new servers in, and says what they are. Servers that joined have a credential of their own: revoking a token changes nothing for them.')}</p>
        <Loaded of={list}>
          {(l) =>
            l.items.length ? (
              <>
                <Table label={t('join.title', 'Join tokens')} columns={columns} rows={l.items} id={(k) => k.id} />
                <Pager total={l.total} limit={limit} offset={offset} go={(o) => set({ offset: o })} />
              </>
            ) : (
              <Empty title={t('join.none', 'No join token was made yet.')} icon="rocket"><Link to={link.add()}>{t('nav.add', 'Add a server')}</Link></Empty>
            )
          }
        </Loaded>
      </Panel>
    </Rows>
  );
}
