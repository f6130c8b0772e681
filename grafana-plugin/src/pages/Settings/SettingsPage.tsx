// Who may do what here, and who did: for admins.
import { t } from '@grafana/i18n';
import { Alert, Icon, Tab, TabsBar } from '@grafana/ui';
import { css } from '@emotion/css';
import { useAnswer } from '../../api/client';
import { Facts } from '../../components/Facts';
import { Panel, Rows } from '../../components/Panel';
import { Loaded } from '../../components/States';
import { oneOf } from '../../components/useFilters';
import { useHost } from '../../host';
import { link } from '../../routes';
import { useNavigate, useSearchParams } from 'react-router-dom';
import { Audit } from './Audit';
import { JoinTokens } from './JoinTokens';
import { roles, roleText } from './roles';
import { Tokens } from './Tokens';
import { Users } from './Users';

const tabs = {
  users: { name: () => t('settings.users', 'Users'), body: Users },
  tokens: { name: () => t('settings.tokens', 'API tokens'), body: Tokens },
  roles: { name: () => t('settings.roles', 'Roles'), body: Roles },
  join: { name: () => t('settings.join', 'Join tokens'), body: JoinTokens },
  audit: { name: () => t('settings.audit', 'Audit log'), body: Audit },
};
type Name = keyof typeof tabs;
const names = Object.keys(tabs) as Name[];

export default function SettingsPage() {
  const { Page, logsIn } = useHost();
  const me = useAnswer('/me', {}, { every: 0 });
  return (
    <Page title={t('settings.title', 'Settings')} subtitle={t('settings.subtitle', 'Who may do what, and who did')}>
      <Loaded of={me}>{(m) => (m.role === 'admin' ? <Tabs of={names.filter((n) => logsIn || n !== 'users')} /> : <NotYours role={m.role} />)}</Loaded>
    </Page>
  );
}

function Tabs({ of }: { of: Name[] }) {
  const { base, logsIn } = useHost();
  const [params] = useSearchParams();
  const go = useNavigate();
  const shown = oneOf(params.get('tab') ?? undefined, of) ?? of[0];
  const Body = tabs[shown].body;
  return (
    <Rows>
      <div className={scroll}>
        <TabsBar>
          {of.map((n) => {
            const to = base + link.settings({ tab: n === of[0] ? undefined : n });
            return <Tab key={n} label={tabs[n].name()} active={n === shown} href={to} onChangeTab={(e) => (e?.preventDefault(), void go(to))} />;
          })}
        </TabsBar>
      </div>
      {!logsIn && (
        <Alert severity="info" title={t('settings.grafana', 'People log in to Grafana')}>
          {t('settings.grafanaText', 'Their role in Grafana is their role here, never above that of the plugin’s token: so there are no users to manage here. Those of the ruler’s own page are managed on that page.')}
        </Alert>
      )}
      <Body />
    </Rows>
  );
}

const scroll = css({ overflowX: 'auto', overflowY: 'hidden' });

function NotYours({ role }: { role: string }) {
  return (
    <Rows>
      <Panel title={t('settings.notYours', 'This page is for admins')}>
        <p>
          <Icon name="lock" aria-hidden /> {t('settings.you', 'You are {{role}}. Users, tokens and the audit log say who can get in, so only admins see them: ask one of them.', { role })}
        </p>
      </Panel>
      <Roles />
    </Rows>
  );
}

function Roles() {
  return (
    <Panel title={t('settings.may', 'What each role may')}>
      <Facts of={roles.map((r) => [r, roleText(r)])} />
      <p>{t('settings.more', 'Whoever may do more may do less. A token has one role as well; a plugin’s token speaks for the people it names, never above its own.')}</p>
    </Panel>
  );
}
