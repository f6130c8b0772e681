import { css } from '@emotion/css';
import type { AppPluginMeta, PluginConfigPageProps } from '@grafana/data';
import { t } from '@grafana/i18n';
import { getBackendSrv } from '@grafana/runtime';
import { Alert, Button, Field, FieldSet, Input, SecretInput, TextArea } from '@grafana/ui';
import { useState, type ChangeEvent, type FormEvent } from 'react';
import { lastValueFrom } from 'rxjs';
import { useUnsaved } from '../components/useUnsaved';

const usualAddress = 'http://127.0.0.1:9480';

export interface Settings {
  rulerUrl?: string;
  consoleUrl?: string;
  metricsUid?: string;
  logsUid?: string;
  caCert?: string;
}

type Said = { ok: boolean; text: string } | undefined;

/** What is said; a field that was emptied is one that never was. */
const filled = (s: Settings) => JSON.stringify(Object.entries(s).filter(([, v]) => v).sort());

/** Where the ruler is, and the token that speaks for this Grafana. */
export default function ConfigPage({ plugin }: PluginConfigPageProps<AppPluginMeta<Settings>>) {
  const { id, enabled, pinned, jsonData, secureJsonFields } = plugin.meta;
  const [settings, setSettings] = useState<Settings>(jsonData ?? {});
  const [token, setToken] = useState('');
  const [kept, setKept] = useState(Boolean(secureJsonFields?.token));
  const [said, setSaid] = useState<Said>();
  const [busy, setBusy] = useState(false);
  const [there, setThere] = useState(settings); // what is saved
  useUnsaved(() => token !== '' || filled(settings) !== filled(there));
  const set = (name: keyof Settings) => (e: FormEvent<HTMLInputElement | HTMLTextAreaElement>) => setSettings({ ...settings, [name]: e.currentTarget.value.trim() });

  async function work(deed: () => Promise<Said>) {
    setBusy(true);
    try {
      setSaid(await deed());
    } catch (e) {
      const refused = e as { data?: { error?: string; message?: string; hint?: string }; statusText?: string };
      setSaid({ ok: false, text: [refused.data?.error ?? refused.data?.message ?? refused.statusText ?? t('config.failed', 'Grafana refused.'), refused.data?.hint].filter(Boolean).join(' ') });
    } finally {
      setBusy(false);
    }
  }

  const test = () =>
    work(async () => {
      const answer = await lastValueFrom(
        getBackendSrv().fetch<{ ok: boolean; message: string; hint?: string }>({ url: `api/plugins/${id}/resources/test`, method: 'POST', data: { jsonData: settings, ...(token ? { token } : {}) }, showErrorAlert: false })
      );
      return { ok: answer.data.ok, text: [answer.data.message, answer.data.hint].filter(Boolean).join(' ') };
    });
  const save = () =>
    work(async () => {
      await lastValueFrom(
        getBackendSrv().fetch({
          url: `api/plugins/${id}/settings`,
          method: 'POST',
          data: { enabled: true, pinned: pinned || !enabled, jsonData: settings, secureJsonData: token ? { token } : undefined },
          showErrorAlert: false,
        })
      );
      setKept(kept || token !== '');
      setToken('');
      setThere(settings);
      return { ok: true, text: t('config.saved', 'Saved.') };
    });

  return (
    <div className={css({ maxWidth: 640 })}>
      <FieldSet label={t('config.ruler', 'The ruler')}>
        <Field label={t('config.url', 'Address')} description={t('config.urlText', 'Where Grafana reaches the ruler, such as https://nocturne.example.org:9480')}>
          <Input value={settings.rulerUrl ?? ''} onChange={set('rulerUrl')} placeholder={usualAddress} />
        </Field>
        <Field label={t('config.token', 'Token')} description={t('config.tokenText', 'ruler tokens add -name grafana -role admin -kind plugin')}>
          <SecretInput isConfigured={kept} value={token} onReset={() => setKept(false)} onChange={(e: ChangeEvent<HTMLInputElement>) => setToken(e.target.value.trim())} />
        </Field>
        <Field label={t('config.console', 'Address of the console')} description={t('config.consoleText', 'Where people open it; empty = nowhere')}>
          <Input value={settings.consoleUrl ?? ''} onChange={set('consoleUrl')} />
        </Field>
        <Field label={t('config.ca', 'Authority')} description={t('config.caText', "PEM: who may sign the ruler's certificate, instead of the system's list; empty = the system's list")}>
          <TextArea value={settings.caCert ?? ''} onChange={set('caCert')} rows={4} />
        </Field>
        <Field label={t('config.metrics', 'Data source of metrics')} description={t('config.uid', 'Its uid, for links; may be empty')}>
          <Input value={settings.metricsUid ?? ''} onChange={set('metricsUid')} />
        </Field>
        <Field label={t('config.logs', 'Data source of logs')} description={t('config.uid', 'Its uid, for links; may be empty')}>
          <Input value={settings.logsUid ?? ''} onChange={set('logsUid')} />
        </Field>
      </FieldSet>
      <Button onClick={() => void save()} disabled={busy}>
        {t('config.save', 'Save')}
      </Button>{' '}
      <Button variant="secondary" onClick={() => void test()} disabled={busy}>
        {t('config.test', 'Test')}
      </Button>
      {said && (
        <div role="status" className={css({ marginTop: 16 })}>
          <Alert severity={said.ok ? 'success' : 'error'} title={said.text} />
        </div>
      )}
    </div>
  );
}
