import { t } from '@grafana/i18n';
import type { Refusal } from '../../api/client';
import { Panel } from '../../components/Panel';
import { Empty } from '../../components/States';
import { sentence } from '../../format';

/** Nobody keeps events: that is a choice, and no failure. */
export function NoLog({ of }: { of: Refusal }) {
  return (
    <Panel title={t('events.title', 'Events')}>
      <Empty icon="hourglass" title={t('events.noLog', 'No events are kept here.')}>
        {sentence(of.message)} {sentence(of.hint)}
      </Empty>
    </Panel>
  );
}
