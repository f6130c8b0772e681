import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { useStyles2 } from '@grafana/ui';
import type { ReactNode } from 'react';
import { Link as RouterLink } from 'react-router-dom';
import { useHost } from '../host';
import { link } from '../routes';
import { Data } from './Text';

/** A link to a page of ours; to is one of routes.link. */
export function Link({ to, children, quiet, title, onClick }: { to: string; children: ReactNode; quiet?: boolean; title?: string; onClick?: () => void }) {
  const s = useStyles2(styles);
  const { base } = useHost();
  return (
    <RouterLink className={quiet ? s.quiet : s.link} to={base + to} title={title} onClick={onClick}>
      {children}
    </RouterLink>
  );
}

export function ServerLink({ id, name }: { id: string; name: string }) {
  return (
    <Link to={link.server(id)}>
      <Data max={80}>{name || id}</Data>
    </Link>
  );
}

/** A serial number, with a way to its life. */
export function SerialLink({ number, type }: { number: string; type?: string }) {
  return (
    <Link to={link.serial(number, type)}>
      <code>
        <Data max={60}>{number}</Data>
      </code>
    </Link>
  );
}

/** A way to the same records in Grafana's Explore, where there is one. */
export function LogsLink({ query, from, to }: { query: string; from: number; to: number }) {
  const s = useStyles2(styles);
  const href = useHost().explore?.logs(query, from, to);
  return href && query ? (
    <a className={s.link} href={href}>
      {t('links.explore', 'Open in Explore')}
    </a>
  ) : null;
}

const styles = (theme: GrafanaTheme2) => ({
  link: css({ color: theme.colors.text.link, overflowWrap: 'anywhere', '&:hover': { textDecoration: 'underline' } }),
  quiet: css({ color: 'inherit', overflowWrap: 'anywhere', '&:hover': { color: theme.colors.text.link, textDecoration: 'underline' } }),
});
