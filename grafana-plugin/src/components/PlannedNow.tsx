// Planned work that runs or comes, in a line where it matters: on the first page and on a server's.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Icon, useStyles2 } from '@grafana/ui';
import { now, useAnswer } from '../api/client';
import type { Window } from '../api/schema';
import { absolute, plural, until } from '../format';
import { link } from '../routes';
import { Link } from './Links';
import { Data, Dim, When } from './Text';

const shown = 3;

/** On one server what comes is told too. */
export function PlannedNow({ server }: { server?: string }) {
  const s = useStyles2(styles);
  const list = useAnswer('/windows', { server, limit: shown + 1 });
  const of = (list.data?.items ?? []).filter((w) => w.state === 'active' || (server !== undefined && w.state === 'planned'));
  if (!of.length) {
    return null; // what cannot be read is told on its own page
  }
  return (
    <div className={s.box} role="group" aria-label={t('plannedNow.label', 'Planned work')}>
      {of.slice(0, shown).map((w) => (
        <div key={w.id} className={s.line}>
          <Icon name="calendar-alt" aria-hidden />
          <span title={w.until ? absolute(w.until) : undefined}>
            <Link to={link.work(w.id)}>{w.state === 'active' ? running(w, server !== undefined) : t('plannedNow.coming', 'Planned work begins')}</Link>
          </span>
          {w.state !== 'active' && <When at={w.next_at} />}
          <Dim>
            <Data max={120}>{w.reason}</Data>
          </Dim>
        </div>
      ))}
      {of.length > shown && <Link to={link.planned()}>{t('plannedNow.more', 'More planned work')}</Link>}
    </div>
  );
}

function running(w: Window, one: boolean): string {
  const at = w.until ? until(w.until, now()) : '';
  return one
    ? t('plannedNow.server', 'Planned work until {{at}}', { at })
    : plural('plannedNow.n', w.concerns, 'Planned work until {{at}} on one server', 'Planned work until {{at}} on {{n}} servers', { at });
}

const styles = (theme: GrafanaTheme2) => ({
  box: css({ display: 'flex', flexDirection: 'column', gap: theme.spacing(0.5), padding: theme.spacing(1, 2), background: theme.colors.background.primary, border: `1px solid ${theme.colors.border.weak}`, borderLeft: `4px solid ${theme.colors.info.main}`, borderRadius: theme.shape.radius.default }),
  line: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'baseline', gap: theme.spacing(0, 1), '& svg': { flex: 'none', alignSelf: 'center' }, overflowWrap: 'anywhere' }),
});
