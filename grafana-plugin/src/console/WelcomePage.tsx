// Where a one-time link leads: somebody chooses a password.
import { t } from '@grafana/i18n';
import { Alert, Button, Field, Input } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { Link, useLocation } from 'react-router-dom';
import { call, Refusal } from '../api/client';
import type { LinkAnswer } from '../api/schema';
import { Data, When } from '../components/Text';
import { sentence } from '../format';
import type { Host } from '../host';
import { consolePaths, paths } from '../routes';
import { Door, doorText, DoorForm, enter, refusal } from './Door';
import { minLength, Password, unfit } from './Password';

export function WelcomePage({ host, go = enter }: { host: Host; go?: (path: string) => void }) {
  const { hash } = useLocation();
  const token = hash.slice(1);
  const [link, setLink] = useState<LinkAnswer>();
  const [dead, setDead] = useState<Refusal>();
  const [no, setNo] = useState<Refusal>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    const end = new AbortController();
    setDead(undefined);
    call(host, 'POST', '/login/link', {}, { token }, end.signal).then(setLink, (e) => end.signal.aborted || setDead(refusal(e)));
    return () => end.abort();
  }, [host, token]);
  const send = async (texts: Record<string, string>) => {
    const wrong = unfit(texts.password ?? '', texts.again ?? '');
    setNo(wrong ? new Refusal(0, wrong, '') : undefined);
    if (wrong) {
      return;
    }
    setBusy(true);
    try {
      await call(host, 'POST', '/login/welcome', {}, { token, name: (texts.username ?? '').trim(), password: texts.password });
      go(paths.tonight);
    } catch (e) {
      setNo(refusal(e));
      setBusy(false);
    }
  };
  const title = link?.kind === 'reset' ? t('welcome.reset', 'Choose another password') : t('welcome.title', 'Welcome');
  if (dead) {
    return (
      <Door title={t('welcome.dead', 'This link leads nowhere')}>
        <Alert severity="warning" title={sentence(dead.message)}>
          {sentence(dead.hint)}
        </Alert>
        <Link to={consolePaths.login}>{t('login.title', 'Log in')}</Link>
      </Door>
    );
  }
  return (
    <Door title={title}>
      {!link ? (
        <p role="status">{doorText.loading()}</p>
      ) : (
        <DoorForm send={(texts) => void send(texts)} no={no}>
          <div>
            {link.kind === 'first' && t('welcome.first', 'You are the first: choose a name and a password, and you are admin here. Afterwards you invite the others.')}
            {link.kind === 'invite' && t('welcome.invite', 'You are invited as {{role}}. Choose a password.', { role: link.role })}
            {link.kind === 'reset' && t('welcome.resetText', 'Wherever you are logged in, that ends.')} {t('welcome.until', 'This link works once, it ends')} <When at={link.expires_at} />.
          </div>
          {link.kind === 'first' ? (
            <Field label={t('login.name', 'Name')} description={t('welcome.name', 'Letters, digits and . _ - @')} noMargin>
              <Input id="username" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} maxLength={64} pattern="[A-Za-z0-9._@\-]+" required autoFocus />
            </Field>
          ) : (
            <>
              <div>
                {t('login.name', 'Name')}: <strong><Data max={64}>{link.name}</Data></strong>
              </div>
              {/* for the password manager */}
              <input type="text" name="username" autoComplete="username" value={link.name} readOnly hidden />
            </>
          )}
          <Password id="password" label={t('welcome.password', 'Password')} kind="new-password" hint={t('welcome.rule', '{{n}} characters or more, of any kind. Several words are easy to keep in mind.', { n: minLength })} />
          <Password id="again" label={t('welcome.again', 'The same again')} kind="new-password" />
          <Button type="submit" disabled={busy}>
            {t('welcome.submit', 'Choose it and log in')}
          </Button>
        </DoorForm>
      )}
    </Door>
  );
}
