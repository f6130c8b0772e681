import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Alert, Button, Field, Input } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { Link, useLocation } from 'react-router-dom';
import { call, type Refusal } from '../api/client';
import type { LoginState } from '../api/schema';
import type { Host } from '../host';
import { paths } from '../routes';
import { back, Door, DoorForm, enter, refusal } from './Door';
import { Password } from './Password';

const note = css({ margin: '16px 0 0' });

export function LoginPage({ host, go = enter }: { host: Host; go?: (path: string) => void }) {
  const { search } = useLocation();
  const [state, setState] = useState<LoginState>();
  const [no, setNo] = useState<Refusal>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const end = new AbortController();
    call(host, 'GET', '/login', {}, undefined, end.signal).then(setState, () => undefined); // the form says it better
    return () => end.abort();
  }, [host]);
  const send = async (texts: Record<string, string>) => {
    setBusy(true);
    setNo(undefined);
    try {
      await call(host, 'POST', '/login', {}, { name: (texts.username ?? '').trim(), password: texts.password });
      go(back(search));
    } catch (e) {
      setNo(refusal(e));
      setBusy(false);
    }
  };
  return (
    <Door title={t('login.title', 'Log in')}>
      {state?.first && (
        <Alert severity="info" title={t('login.first', 'Nobody can log in yet')}>
          {t('login.firstText', 'The first admin’s link is in the ruler’s log. On its machine, this prints a new one:')} <code>ruler users link</code>
        </Alert>
      )}
      {state && !state.required && (
        <p>
          {t('login.open', 'On this machine the pages open without a login.')} <Link to={paths.tonight}>{t('login.openLink', 'Open them')}</Link>
        </p>
      )}
      <DoorForm send={(texts) => void send(texts)} no={no}>
        <Field label={t('login.name', 'Name')} noMargin>
          <Input id="username" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={64} required autoFocus />
        </Field>
        <Password id="password" label={t('login.password', 'Password')} kind="current-password" />
        <Button type="submit" disabled={busy} icon={busy ? 'spinner' : undefined}>
          {t('login.submit', 'Log in')}
        </Button>
      </DoorForm>
      <p className={note}>{t('login.forgot', 'Forgotten? An admin makes you a link by which you choose another password.')}</p>
    </Door>
  );
}
