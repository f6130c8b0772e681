// Who I am here, and what I can do about it. Only in the console: in Grafana people log in to Grafana.
import { t } from '@grafana/i18n';
import { Alert, Button } from '@grafana/ui';
import { useState } from 'react';
import { call, Refusal, useAnswer, useChange } from '../api/client';
import { Facts } from '../components/Facts';
import { Link } from '../components/Links';
import { Columns, Panel } from '../components/Panel';
import { Loaded } from '../components/States';
import { Data } from '../components/Text';
import { leaving } from '../components/useUnsaved';
import { useHost } from '../host';
import { roleText } from '../pages/Settings/roles';
import { consolePaths } from '../routes';
import { DoorForm, refusal } from './Door';
import { minLength, Password, unfit } from './Password';

export function AccountPage() {
  const { Page } = useHost();
  const me = useAnswer('/me', {}, { every: 0 });
  return (
    <Page title={t('account.title', 'Your account')}>
      <Loaded of={me}>
        {(m) => (
          <Columns>
            <Panel title={t('account.who', 'Who you are')}>
              <Facts
                of={[
                  [t('login.name', 'Name'), <Data key="name" max={64}>{m.via === 'loopback' ? t('account.local', 'somebody on this machine') : m.name}</Data>],
                  [t('account.role', 'Role'), m.role],
                  [t('account.may', 'You may'), roleText(m.role)],
                ]}
              />
              {m.via === 'session' ? (
                <LogOut />
              ) : (
                <>
                  <p>{t('account.open', 'Here the pages open without a login. Who logs in is named in the audit log.')}</p>
                  <Link to={consolePaths.login}>{t('login.title', 'Log in')}</Link>
                </>
              )}
            </Panel>
            {m.via === 'session' && <ChangePassword name={m.name} />}
          </Columns>
        )}
      </Loaded>
    </Page>
  );
}

/** Ends the session of this browser; nothing that was loaded stays. */
export function LogOut({ small }: { small?: boolean }) {
  const host = useHost();
  const [no, setNo] = useState('');
  const [busy, setBusy] = useState(false);
  const leave = () =>
    leaving(async () => {
      setBusy(true);
      const state = await call(host, 'POST', '/logout', {}, {}); // asks nothing anew: that would be refused by now
      location.replace(state.required ? consolePaths.login : '/');
    }).catch((e: unknown) => {
      setNo(refusal(e).message);
      setBusy(false);
    });
  return (
    <>
      <Button size={small ? 'sm' : 'md'} fill={small ? 'text' : 'outline'} variant="secondary" icon="signout" disabled={busy} onClick={() => void leave()}>
        {t('account.logout', 'Log out')}
      </Button>
      {no && <span role="alert">{no}</span>}
    </>
  );
}

function ChangePassword({ name }: { name: string }) {
  const change = useChange('POST', '/password');
  const [no, setNo] = useState<Refusal>();
  const [done, setDone] = useState(0);
  const send = async (texts: Record<string, string>) => {
    const wrong = unfit(texts.password ?? '', texts.again ?? '');
    setNo(wrong ? new Refusal(0, wrong, '') : undefined);
    if (wrong) {
      return;
    }
    try {
      await change.mutateAsync({ params: {}, body: { current: texts.current, password: texts.password } });
      setDone(done + 1);
    } catch (e) {
      setNo(refusal(e));
    }
  };
  return (
    <Panel title={t('account.change', 'Change the password')}>
      <DoorForm key={done} send={(texts) => void send(texts)} no={no}>
        <input type="text" name="username" autoComplete="username" value={name} readOnly hidden />
        <Password id="current" label={t('account.current', 'Current password')} kind="current-password" />
        <Password id="password" label={t('account.new', 'New password')} kind="new-password" hint={t('welcome.rule', '{{n}} characters or more, of any kind. Several words are easy to keep in mind.', { n: minLength })} />
        <Password id="again" label={t('welcome.again', 'The same again')} kind="new-password" />
        <Button type="submit" disabled={change.isPending}>
          {t('account.save', 'Change it')}
        </Button>
      </DoorForm>
      {done > 0 && !no && <Alert severity="success" title={t('account.changed', 'The password is changed. You are logged out everywhere else.')} />}
    </Panel>
  );
}
