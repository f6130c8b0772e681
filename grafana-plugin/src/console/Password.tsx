import { t } from '@grafana/i18n';
import { Field, IconButton, Input } from '@grafana/ui';
import { useState } from 'react';

interface Props {
  id: string;
  label: string;
  /** what a password manager is to do */
  kind: 'current-password' | 'new-password';
  hint?: string;
  error?: string;
}

export const minLength = 12;

/** A field for a password, which can be shown. The form reads it by its id. */
export function Password({ id, label, kind, hint, error }: Props) {
  const [shown, setShown] = useState(false);
  return (
    <Field label={label} description={hint} invalid={!!error} error={error} noMargin>
      <Input
        id={id}
        name={id}
        type={shown ? 'text' : 'password'}
        autoComplete={kind}
        autoCapitalize="none"
        spellCheck={false}
        maxLength={1000}
        required
        suffix={<IconButton name={shown ? 'eye-slash' : 'eye'} aria-label={t('password.show', 'Show the password')} aria-pressed={shown} type="button" onClick={() => setShown(!shown)} />}
      />
    </Field>
  );
}

/** Why a new password is not taken, as far as the page can tell. */
export function unfit(password: string, again: string): string | undefined {
  if ([...password].length < minLength) {
    return t('password.short', 'At least {{n}} characters, of any kind: several words are easy to keep in mind.', { n: minLength });
  }
  return password === again ? undefined : t('password.differs', 'The two passwords differ.');
}
