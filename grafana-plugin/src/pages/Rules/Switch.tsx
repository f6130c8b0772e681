// Turning a rule on or off, with why.
import { t } from '@grafana/i18n';
import { Button, Input, Stack } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { Rule } from '../../api/schema';
import { sentence } from '../../format';

export function Switch({ of: r }: { of: Rule }) {
  const me = useAnswer('/me', {}, { every: 0 });
  const change = useChange('PUT', '/rules/{id}/enabled');
  const [asking, setAsking] = useState(false);
  const [comment, setComment] = useState('');
  const [said, setSaid] = useState('');
  if (me.data?.role !== 'admin' || r.kind === 'metric' || r.deleted || (!r.enabled && !r.off.startsWith('was switched off'))) {
    return null; // what its configuration disables is not switched on here
  }
  const verb = r.enabled ? t('rule.off', 'Turn off') : t('rule.on', 'Turn on');
  const go = async () => {
    try {
      const out = await change.mutateAsync({ params: { id: r.id }, body: { enabled: !r.enabled, comment: comment.trim() } });
      setAsking(false);
      setComment('');
      setSaid([r.enabled ? t('rule.isOff', 'It is off: what it had open is over.') : t('rule.isOn', 'It is on.'), ...out.warnings.map(sentence)].join(' '));
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <Stack wrap="wrap" alignItems="center" gap={1}>
      {asking ? (
        <>
          <Input width={32} value={comment} aria-label={t('rule.why', 'Why')} placeholder={t('rule.whyText', 'Why? It stands in the audit log.')} maxLength={500} onChange={(e) => setComment(e.currentTarget.value)} />
          <Button variant={r.enabled ? 'destructive' : 'primary'} disabled={change.isPending} onClick={() => void go()}>
            {verb}
          </Button>
          <Button variant="secondary" onClick={() => setAsking(false)}>
            {t('rule.cancel', 'Cancel')}
          </Button>
        </>
      ) : (
        <Button variant="secondary" icon={r.enabled ? 'pause' : 'play'} onClick={() => setAsking(true)}>
          {verb}
        </Button>
      )}
      <span role="status">{said}</span>
    </Stack>
  );
}
