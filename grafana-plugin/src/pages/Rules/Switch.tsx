// Turning a rule on or off, with why: on its own page, and from the list.
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Button, IconButton, Input, Stack } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { Rule } from '../../api/schema';
import { clean, plain, sentence } from '../../format';

/** Whether a rule can be switched: what its configuration disables is not switched on here. */
export const canSwitch = (r: Rule) => !r.deleted && (r.enabled || r.off_kind === 'switched');

/** Why a rule is not carried out. */
export function whyOff(r: Rule): string {
  const who = { who: clean(r.author, 80), ...plain };
  switch (r.off_kind) {
    case 'switched':
      return t('rule.off.switched', 'Switched off by {{who}}.', who);
    case 'deleted':
      return t('rule.off.deleted', 'Deleted by {{who}}.', who);
    case 'configuration':
      return t('rule.off.configuration', "Disabled in the ruler's configuration.");
    default:
      return sentence(clean(r.off, 400)); // what is wrong with a text only the ruler can say
  }
}

const verb = (r: Rule) => (r.enabled ? t('rule.off', 'Turn off') : t('rule.on', 'Turn on'));

const named = (r: Rule) => `${verb(r)} ${clean(r.name || r.id, 80)}`;

/** The button that asks, in a list. */
export function SwitchButton({ of: r, onClick }: { of: Rule; onClick: (button: HTMLElement) => void }) {
  return <IconButton name={r.enabled ? 'pause' : 'play'} tooltip={named(r)} onClick={(e) => onClick(e.currentTarget)} />;
}

/** Asks why, and switches. The rule is what it was when somebody pressed the button: what others did since is not undone. */
export function Why({ of: r, heading, close }: { of: Rule; heading?: boolean; close: (said: string) => void }) {
  const change = useChange('PUT', '/rules/{id}/enabled');
  const [comment, setComment] = useState('');
  const go = async () => {
    try {
      const out = await change.mutateAsync({ params: { id: r.id }, body: { enabled: !r.enabled, version: r.version, comment: comment.trim() } });
      close([r.enabled ? t('rule.isOff', 'It is off: what it had open is over.') : t('rule.isOn', 'It is on.'), ...out.warnings.map(sentence)].join(' '));
    } catch (e) {
      close(told(e));
    }
  };
  return (
    <form
      className={heading ? css({ marginBottom: 16, '& p': { margin: '8px 0' } }) : undefined}
      aria-label={named(r)}
      onSubmit={(e) => {
        e.preventDefault();
        void go();
      }}
    >
      {heading && <p>{named(r)}</p>}
      <Stack wrap="wrap" alignItems="center" gap={1}>
        <Input width={32} value={comment} autoFocus aria-label={t('rule.why', 'Why')} placeholder={t('rule.whyText', 'Why? It stands in the audit log.')} maxLength={500} onChange={(e) => setComment(e.currentTarget.value)} />
        <Button type="submit" variant={r.enabled ? 'destructive' : 'primary'} disabled={change.isPending}>
          {verb(r)}
        </Button>
        <Button type="button" variant="secondary" onClick={() => close('')}>
          {t('rule.cancel', 'Cancel')}
        </Button>
      </Stack>
    </form>
  );
}

export function Switch({ of: r }: { of: Rule }) {
  const me = useAnswer('/me', {}, { every: 0 });
  const [asked, setAsked] = useState<Rule>();
  const [said, setSaid] = useState<string>();
  if (me.data?.role !== 'admin' || (!canSwitch(r) && !asked)) {
    return null;
  }
  const close = (text: string) => {
    setAsked(undefined);
    setSaid(text);
  };
  return (
    <Stack wrap="wrap" alignItems="center" gap={1}>
      {asked ? (
        <Why of={asked} close={close} />
      ) : (
        <Button variant="secondary" icon={r.enabled ? 'pause' : 'play'} autoFocus={said !== undefined} onClick={() => setAsked(r)}>
          {verb(r)}
        </Button>
      )}
      <span role="status">{said}</span>
    </Stack>
  );
}
