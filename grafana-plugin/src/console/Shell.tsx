// The console's own frame: navigation beside the page, on a phone above it.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2, IconName } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Icon, IconButton, RadioButtonGroup, useStyles2 } from '@grafana/ui';
import { useEffect, useRef, useState } from 'react';
import { NavLink, useLocation } from 'react-router-dom';
import { useAnswer } from '../api/client';
import { useLive } from '../api/live';
import type { Features } from '../api/schema';
import { Data, Dim } from '../components/Text';
import type { PageProps } from '../host';
import { consolePaths, paths } from '../routes';
import { LogOut } from './AccountPage';
import { useThemeChoice, type Choice } from './theme';

interface Entry {
  to: string;
  icon: IconName;
  text: () => string;
  needs?: keyof Features;
}

const entries: Entry[] = [
  { to: paths.tonight, icon: 'star', text: () => t('nav.tonight', 'Tonight') },
  { to: paths.notifications, icon: 'bell', text: () => t('nav.notifications', 'Notifications') },
  { to: paths.servers, icon: 'sitemap', text: () => t('nav.servers', 'Servers') },
  { to: paths.register, icon: 'clipboard-alt', text: () => t('nav.register', 'Expected servers') },
  { to: paths.silent, icon: 'bell-slash', text: () => t('nav.silent', 'Silent servers') },
  { to: paths.changes, icon: 'history', text: () => t('nav.changes', 'Changes') },
  { to: paths.planned, icon: 'calendar-alt', text: () => t('nav.planned', 'Planned work') },
  { to: paths.rules, icon: 'sliders-v-alt', text: () => t('nav.rules', 'Rules') },
  { to: paths.events, icon: 'list-ul', text: () => t('nav.events', 'Events') },
  { to: paths.devices, icon: 'database', text: () => t('nav.devices', 'Devices') },
  { to: paths.delivered, icon: 'envelope', text: () => t('nav.delivered', 'Delivered'), needs: 'delivered' },
  { to: paths.pipeline, icon: 'process', text: () => t('nav.pipeline', 'Pipeline') },
  { to: paths.add, icon: 'plus', text: () => t('nav.add', 'Add a server'), needs: 'add_server' },
  { to: paths.settings, icon: 'cog', text: () => t('nav.settings', 'Settings') },
];

// Every page brings a frame of its own: only here is it known which one was there before.
let lastPath: string | undefined;
let moved = false;

export function ConsolePage({ title, actions, subtitle, children }: PageProps) {
  const s = useStyles2(styles);
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const [opened, setOpened] = useState(false);
  useEffect(() => {
    document.title = `${title} · Nocturne`;
  }, [title]);
  useEffect(() => {
    setOpened(false);
    const came = lastPath !== undefined && lastPath !== pathname;
    lastPath = pathname;
    moved ||= came;
    if (came) {
      window.scrollTo(0, 0);
    }
    if (came || (moved && document.activeElement === document.body)) {
      main.current?.focus({ preventScroll: true }); // where who reads with the ears goes on
    }
  }, [pathname]);
  return (
    <div className={s.frame}>
      <a className={s.skip} href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>
        {t('nav.skip', 'Skip to content')}
      </a>
      <header className={s.top}>
        <NavLink to={paths.tonight} className={s.brand}>
          <img src="/moon.svg" alt="" width={24} height={24} />
          Nocturne
        </NavLink>
        <Connected />
        <span className={s.burger}>
          <IconButton name="bars" size="xl" tooltip={t('nav.menu', 'Menu')} aria-expanded={opened} onClick={() => setOpened(!opened)} />
        </span>
      </header>
      <nav className={cx(s.nav, opened && s.navOpen)} aria-label={t('nav.pages', 'Pages')}>
        <Navigation />
        <div className={s.foot}>
          <Who />
          <ThemeSwitch />
        </div>
      </nav>
      <main className={s.main} id="main" ref={main} tabIndex={-1}>
        <div className={s.head}>
          <div>
            <h1 className={s.title}>{title}</h1>
            {subtitle && <Dim>{subtitle}</Dim>}
          </div>
          <div className={s.actions}>{actions}</div>
        </div>
        {children}
      </main>
    </div>
  );
}

function Navigation() {
  const s = useStyles2(styles);
  const { data } = useAnswer('/overview', {});
  return (
    <ul className={s.entries}>
      {entries
        .filter((e) => !e.needs || data?.features[e.needs])
        .map((e) => (
          <li key={e.to}>
            <NavLink to={e.to} className={({ isActive }) => cx(s.entry, isActive && s.active)}>
              <Icon name={e.icon} aria-hidden />
              <span>{e.text()}</span>
              {e.to === paths.notifications && data && data.open_notifications > 0 && <span className={s.count}>{data.open_notifications}</span>}
            </NavLink>
          </li>
        ))}
    </ul>
  );
}

/** Who is here, and the way out. */
function Who() {
  const s = useStyles2(styles);
  const { data } = useAnswer('/me', {}, { every: 0 });
  if (!data) {
    return null;
  }
  return (
    <div>
      <NavLink to={consolePaths.account} className={({ isActive }) => cx(s.entry, isActive && s.active)}>
        <Icon name="user" aria-hidden />
        <span>{data.via === 'loopback' ? t('nav.local', 'On this machine') : <Data max={40}>{data.name}</Data>}</span>
        <span className={s.role}>{data.role}</span>
      </NavLink>
      {data.via === 'session' && <LogOut small />}
    </div>
  );
}

function Connected() {
  const live = useLive();
  return (
    <Dim>
      <span role="status">{live ? t('nav.live', 'live') : t('nav.asking', 'asking every 15 s')}</span>
    </Dim>
  );
}

function ThemeSwitch() {
  const s = useStyles2(styles);
  const { choice, choose } = useThemeChoice();
  const options: Array<{ value: Choice; label: string; ariaLabel: string }> = [
    { value: 'system', label: t('theme.system', 'auto'), ariaLabel: t('theme.systemLong', 'Theme of the system') },
    { value: 'light', label: t('theme.light', 'light'), ariaLabel: t('theme.lightLong', 'Light theme') },
    { value: 'dark', label: t('theme.dark', 'dark'), ariaLabel: t('theme.darkLong', 'Dark theme') },
  ];
  return (
    <div className={s.theme}>
      <RadioButtonGroup size="sm" options={options} value={choice} onChange={choose} />
    </div>
  );
}

const phone = '@media (max-width: 859px)';
const styles = (theme: GrafanaTheme2) => ({
  frame: css({
    minHeight: '100vh', display: 'grid', gridTemplateColumns: '220px minmax(0, 1fr)', gridTemplateRows: 'auto 1fr', gridTemplateAreas: '"top main" "nav main"', background: theme.colors.background.canvas, color: theme.colors.text.primary, overflowWrap: 'anywhere',
    [phone]: { gridTemplateColumns: 'minmax(0, 1fr)', gridTemplateRows: 'auto auto 1fr', gridTemplateAreas: '"top" "nav" "main"' },
  }),
  skip: css({ position: 'absolute', left: -9999, '&:focus': { left: 8, top: 8, zIndex: 10, padding: 8, background: theme.colors.background.primary } }),
  top: css({
    gridArea: 'top', display: 'flex', alignItems: 'center', gap: theme.spacing(1.5), padding: theme.spacing(2), background: theme.colors.background.primary, borderRight: `1px solid ${theme.colors.border.weak}`,
    [phone]: { padding: theme.spacing(1, 2), borderRight: 0, borderBottom: `1px solid ${theme.colors.border.weak}`, position: 'sticky', top: 0, zIndex: 5 },
  }),
  brand: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1), fontSize: theme.typography.h5.fontSize, fontWeight: theme.typography.fontWeightMedium, color: theme.colors.text.primary }),
  burger: css({ display: 'none', marginLeft: 'auto', [phone]: { display: 'block' } }),
  nav: css({
    gridArea: 'nav', display: 'flex', flexDirection: 'column', gap: theme.spacing(2), padding: theme.spacing(1), background: theme.colors.background.primary, borderRight: `1px solid ${theme.colors.border.weak}`,
    [phone]: { display: 'none', borderRight: 0, borderBottom: `1px solid ${theme.colors.border.weak}` },
  }),
  navOpen: css({ [phone]: { display: 'flex' } }),
  entries: css({ listStyle: 'none', margin: 0, padding: 0, position: 'sticky', top: 0 }),
  entry: css({ display: 'flex', alignItems: 'center', gap: theme.spacing(1), padding: theme.spacing(1, 1.5), borderRadius: theme.shape.radius.default, color: theme.colors.text.secondary, '&:hover': { background: theme.colors.action.hover, color: theme.colors.text.primary } }),
  active: css({ background: theme.colors.action.selected, color: theme.colors.text.primary, fontWeight: theme.typography.fontWeightMedium }),
  count: css({ marginLeft: 'auto', fontVariantNumeric: 'tabular-nums', color: theme.colors.warning.text }),
  role: css({ marginLeft: 'auto', whiteSpace: 'nowrap', fontSize: theme.typography.bodySmall.fontSize, color: theme.colors.text.secondary }),
  // In sight however long the page is, where the entries leave room for it.
  foot: css({ marginTop: 'auto', display: 'flex', flexDirection: 'column', gap: theme.spacing(1), '@media (min-height: 760px)': { position: 'sticky', bottom: theme.spacing(1) } }),
  theme: css({ padding: theme.spacing(1, 1.5) }),
  main: css({ gridArea: 'main', minWidth: 0, padding: theme.spacing(2, 3, 4), maxWidth: 1500, outline: 'none', [phone]: { padding: theme.spacing(1.5, 1.5, 4) } }),
  head: css({ display: 'flex', flexWrap: 'wrap', alignItems: 'center', justifyContent: 'space-between', gap: theme.spacing(1, 2), marginBottom: theme.spacing(2) }),
  title: css({ margin: 0, fontSize: theme.typography.h3.fontSize, overflowWrap: 'anywhere' }),
  actions: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1) }),
});
