import { t } from '@grafana/i18n';
import { LinkButton } from '@grafana/ui';
import { useHost } from '../host';

/** Ways to Grafana's own pages about the same; nothing where there is no Grafana. */
export function GrafanaLinks({ to, server }: { to: 'server' | 'pipeline'; server?: string }) {
  const { explore } = useHost();
  if (!explore) {
    return null;
  }
  const events = server === undefined ? null : explore.events(server);
  return (
    <>
      <LinkButton size="sm" variant="secondary" icon="apps" href={explore.dashboard(to, server)}>
        {t('grafana.dashboard', 'Dashboard')}
      </LinkButton>
      {events && (
        <LinkButton size="sm" variant="secondary" icon="compass" href={events}>
          {t('grafana.events', 'Explore events')}
        </LinkButton>
      )}
    </>
  );
}
