import { t } from '@grafana/i18n';
import { Button, Stack } from '@grafana/ui';
import { useState } from 'react';
import { told, useChange } from '../../api/client';
import { Panel } from '../../components/Panel';
import { Dim } from '../../components/Text';

const incidents: Array<[string, () => string, () => string]> = [
  ['drive', () => t('break.drive', 'Fail a drive'), () => t('break.driveText', 'predicted, failed, degraded, replaced, rebuilt, optimal')],
  ['failure', () => t('break.failure', 'Fail a drive for good'), () => t('break.failureText', 'predicted, failed, degraded; it stays so until it is replaced')],
  ['replace', () => t('break.replace', 'Replace the failed drive'), () => t('break.replaceText', 'another drive comes, is rebuilt, optimal')],
  ['silence', () => t('break.silence', 'Fall silent'), () => t('break.silenceText', 'stops speaking without a goodbye')],
  ['reboot', () => t('break.reboot', 'Reboot'), () => t('break.rebootText', 'says goodbye and comes back')],
  ['rack', () => t('break.rack', 'Lose the rack'), () => t('break.rackText', 'all servers of its rack fall silent')],
  ['patchday', () => t('break.patchday', 'Patch day'), () => t('break.patchdayText', 'updates and reboots')],
];

/** Breaks a simulated server; nothing real is touched. */
export function BreakIt({ server }: { server: string }) {
  const change = useChange('POST', '/demo/incident');
  const [said, setSaid] = useState('');
  const go = async (kind: string) => {
    try {
      setSaid((await change.mutateAsync({ params: {}, body: { kind, server_id: server } })).text);
    } catch (e) {
      setSaid(told(e));
    }
  };
  return (
    <Panel title={t('break.title', 'Break it')} extra={<Dim>{t('break.simulated', 'simulated: nothing real is touched')}</Dim>}>
      <Stack wrap="wrap" gap={1}>
        {incidents.map(([kind, name, what]) => (
          <Button key={kind} size="sm" variant="secondary" tooltip={what()} disabled={change.isPending} onClick={() => void go(kind)}>
            {name()}
          </Button>
        ))}
      </Stack>
      <span role="status">
        <Dim>{said}</Dim>
      </span>
    </Panel>
  );
}
