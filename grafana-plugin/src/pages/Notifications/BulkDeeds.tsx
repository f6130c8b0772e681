import { t } from '@grafana/i18n';
import { Button, Input, Stack } from '@grafana/ui';
import { useState } from 'react';
import { told, useAnswer, useChange } from '../../api/client';
import type { Notification } from '../../api/schema';
import { Dim } from '../../components/Text';
import { sentence } from '../../format';

type Deed = 'acknowledge' | 'assign' | 'silence';

/** What can be done with those that are selected; nothing for who may only look. */
export function BulkDeeds({ of, done }: { of: Notification[]; done: () => void }) {
  const me = useAnswer('/me', {}, { every: 0 });
  const change = useChange('POST', '/deeds');
  const [said, setSaid] = useState('');
  const [why, setWhy] = useState<string>(); // undefined = nobody wants to silence them
  if (!me.data || me.data.role === 'viewer') {
    return null;
  }
  const act = async (deed: Deed) => {
    setSaid('');
    try {
      const answer = await change.mutateAsync({
        params: {},
        body: {
          deed,
          notifications: of.map((n) => ({ id: n.id, revision: n.work.revision })),
          ...(deed === 'assign' ? { assignee: me.data.name } : {}),
          ...(deed === 'silence' ? { duration_seconds: 8 * 3600, text: (why ?? '').trim() } : {}),
        },
      });
      const failed = answer.items.find((i) => !i.ok);
      setSaid(failed ? `${t('bulk.partly', '{{done}} done, {{failed}} not:', { done: answer.done, failed: answer.failed })} ${sentence(failed.error)}` : t('bulk.done', '{{done}} done.', { done: answer.done }));
      if (!failed) {
        setWhy(undefined);
        done();
      }
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <Stack wrap="wrap" alignItems="center" gap={1}>
      <span role="status">
        <Dim>{said || (of.length > 0 && t('bulk.selected', '{{n}} selected', { n: of.length }))}</Dim>
      </span>
      {of.length > 0 && (
        <>
          <Button size="sm" disabled={change.isPending} onClick={() => void act('acknowledge')}>
            {t('deed.acknowledge', 'Acknowledge')}
          </Button>
          <Button size="sm" variant="secondary" disabled={change.isPending} onClick={() => void act('assign')}>
            {t('deed.take', 'I take it')}
          </Button>
          {why === undefined ? (
            <Button size="sm" variant="secondary" disabled={change.isPending} onClick={() => setWhy('')}>
              {t('deed.silence8', 'Silence for 8 hours')}
            </Button>
          ) : (
            <form
              onSubmit={(e) => {
                e.preventDefault();
                void act('silence');
              }}
            >
              <Stack alignItems="center" gap={1}>
                <Input width={28} value={why} autoFocus aria-label={t('deed.why', 'Why it is silenced')} placeholder={t('deed.whyText', 'Why? People read it while it is quiet')} maxLength={500} onChange={(e) => setWhy(e.currentTarget.value)} />
                <Button size="sm" type="submit" disabled={change.isPending}>
                  {t('deed.silence', 'Silence')}
                </Button>
                <Button size="sm" type="button" variant="secondary" onClick={() => setWhy(undefined)}>
                  {t('rule.cancel', 'Cancel')}
                </Button>
              </Stack>
            </form>
          )}
        </>
      )}
    </Stack>
  );
}
