// Add a server: a form, then the lines to paste.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, Button, Field, Input, useStyles2 } from '@grafana/ui';
import { useState, type FormEvent } from 'react';
import { Refusal, useAnswer, useChange } from '../../api/client';
import type { JoinAnswer } from '../../api/schema';
import { copy } from '../../components/copy';
import { Pick } from '../../components/Filters';
import { Panel, Rows } from '../../components/Panel';
import { Loaded } from '../../components/States';
import { Data, Dim, When } from '../../components/Text';
import { plural, sentence } from '../../format';
import { useHost } from '../../host';

export default function AddPage() {
  const { Page } = useHost();
  const s = useStyles2(styles);
  const overview = useAnswer('/overview', {});
  const join = useChange('POST', '/join-tokens');
  const [ttl, setTtl] = useState('3600');
  const [error, setError] = useState<Refusal>();
  const submit = async (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault();
    const f = new FormData(e.currentTarget);
    const text = (name: string) => String(f.get(name) ?? '').trim();
    setError(undefined);
    try {
      await join.mutateAsync({ params: {}, body: { site: text('site'), rack: text('rack'), role: text('role'), owner: text('owner'), uses: Number(f.get('uses')) || 1, ttl_seconds: Number(ttl) } });
    } catch (err) {
      setError(err instanceof Refusal ? err : new Refusal(0, String(err), ''));
    }
  };
  return (
    <Page title={t('add.title', 'Add a server')} subtitle={t('add.subtitle', 'Make a join token, paste one line on the new server, and it appears in the list within seconds. What is said here is what the fleet believes: a server cannot claim another site or role.')}>
      <Loaded of={overview}>
        {(o) =>
          o.features.add_server ? (
            <Rows>
              <Panel title={t('add.what', '1. What it is')}>
                <form className={s.form} onSubmit={(e) => void submit(e)}>
                  <Field label={t('fact.site', 'Site')} noMargin><Input id="add-site" name="site" maxLength={120} autoComplete="off" placeholder={t('add.site', 'such as north')} /></Field>
                  <Field label={t('fact.rack', 'Rack')} noMargin><Input id="add-rack" name="rack" maxLength={120} autoComplete="off" placeholder={t('add.rack', 'such as n02')} /></Field>
                  <Field label={t('fact.role', 'Role')} noMargin><Input id="add-role" name="role" maxLength={120} autoComplete="off" placeholder={t('add.role', 'such as sql')} /></Field>
                  <Field label={t('fact.owner', 'Owner')} noMargin><Input id="add-owner" name="owner" maxLength={120} autoComplete="off" placeholder={t('add.owner', 'who is called at night')} /></Field>
                  <Field label={t('add.uses', 'How many servers')} noMargin><Input id="add-uses" name="uses" type="number" min={1} max={1000} defaultValue={1} /></Field>
                  <Pick name={t('add.ttl', 'Good for')} value={ttl} onChange={setTtl} options={[['3600', t('silence.hour', 'an hour')], ['86400', t('silence.day', 'a day')], ['604800', t('silence.week', 'a week')]]} />
                  <Button type="submit" disabled={join.isPending}>{t('add.make', 'Make the lines')}</Button>
                </form>
              </Panel>
              {error && <Alert severity="error" title={sentence(error.message)}>{sentence(error.hint)}</Alert>}
              {join.data && <Lines of={join.data} />}
            </Rows>
          ) : (
            <Alert severity="info" title={t('add.no', 'No token can be made here')}>{t('add.noText', 'This ruler knows no eventbridge. Use nocturne token create on the machine where the bridge runs.')}</Alert>
          )
        }
      </Loaded>
    </Page>
  );
}

function Lines({ of: a }: { of: JoinAnswer }) {
  const [said, setSaid] = useState('');
  const s = useStyles2(styles);
  const line = (name: string, text: string) => (
    <div>
      <div className={s.lineHead}>
        <strong>{name}</strong>
        <Button
          size="sm"
          variant="secondary"
          icon="copy"
          aria-label={`${t('add.copyFor', 'Copy the line for')} ${name}`}
          onClick={() => void copy(text).then((done) => setSaid(done ? t('add.copied', 'Copied.') : t('add.copyYourself', 'The browser does not let us copy: select it and copy it yourself.')))}
        >
          {t('add.copy', 'Copy')}
        </Button>
      </div>
      <pre className={s.paste} tabIndex={0}>{text}</pre>
    </div>
  );
  return (
    <Panel title={t('add.paste', '2. Paste one of these')} extra={<Dim>{plural('add.many', a.uses, 'for one server', 'for {{n}} servers')}, {t('add.ends', 'ends')} <When at={a.expires_at} /></Dim>}>
      {a.network ? <p><Data max={600}>{a.note}</Data></p> : <Alert severity="warning" title={t('add.loopback', 'Nobody can reach it yet')}><Data max={600}>{a.note}</Data></Alert>}
      <h3 className={s.way}>{t('add.package', 'With the package')}</h3>
      {line(t('add.msi', 'Windows: MSI, in PowerShell'), a.msi)}
      {line(t('add.deb', 'Debian, Ubuntu: deb'), a.deb)}
      <h3 className={s.way}>{t('add.program', 'With the program alone, in a folder where it can stay')}</h3>
      {line(t('add.windows', 'Windows: exporter.exe, in PowerShell'), a.windows)}
      {line(t('add.linux', 'Linux: exporter'), a.linux)}
      <span role="status">{said}</span>
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  form: css({ display: 'grid', gridTemplateColumns: 'repeat(auto-fill, minmax(min(100%, 200px), 1fr))', gap: theme.spacing(2), alignItems: 'end' }),
  way: css({ ...theme.typography.h5, margin: theme.spacing(2, 0, 0) }),
  lineHead: css({ display: 'flex', alignItems: 'center', justifyContent: 'space-between', marginTop: theme.spacing(1) }),
  paste: css({ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', marginTop: theme.spacing(0.5) }),
});
