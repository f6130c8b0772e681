// The first page: calm when all is well, and else what is wrong, worst first.
import { css, cx } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Alert, useStyles2, useTheme2 } from '@grafana/ui';
import { useAnswer } from '../../api/client';
import type { Overview } from '../../api/schema';
import { ChangeItem, NotificationItem, SilentItem } from '../../components/items';
import { Item, List } from '../../components/List';
import { Link } from '../../components/Links';
import { PlannedNow } from '../../components/PlannedNow';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Dot, Status } from '../../components/Status';
import { Data, Dim, Tag } from '../../components/Text';
import { countServers, number, plural, sentence } from '../../format';
import { useHost } from '../../host';
import { link } from '../../routes';
import { look, toneColors, worse } from '../../status';

const shown = 8;

export function TonightPage() {
  const { Page } = useHost();
  const overview = useAnswer('/overview', {});
  return (
    <Page title={t('tonight.title', 'Tonight')}>
      <Loaded of={overview}>{(o) => <Tonight of={o} />}</Loaded>
    </Page>
  );
}

function Tonight({ of: o }: { of: Overview }) {
  const few = o.servers.total > 0 && o.servers.total <= 2 && o.features.add_server;
  return (
    <Rows>
      {!o.pipeline_ok && (
        <Alert severity="error" title={t('tonight.pipeline', 'The pipeline has problems')}>
          <Data max={400}>{sentence(o.pipeline_text)}</Data> <Link to={link.pipeline()}>{t('tonight.pipelineMore', 'Look at it')}</Link>
        </Alert>
      )}
      <Hero of={o} />
      <PlannedNow />
      {o.servers.total === 0 && (
        <Empty icon="rocket" title={t('tonight.none', 'There is nothing to watch yet.')}>
          {o.features.add_server && <Link to={link.add()}>{t('tonight.add', 'Add a server')}</Link>}
        </Empty>
      )}
      {few && (
        <Dim>
          {t('tonight.few', 'One line makes another server join.')} <Link to={link.add()}>{t('tonight.add', 'Add a server')}</Link>
        </Dim>
      )}
      {o.servers.total > 0 && (
        <>
          <Wrong />
          <Columns>
            <Changed />
            <Rows>
              <Silent judged={o.silence_judged} />
              <Sites of={o} />
            </Rows>
          </Columns>
        </>
      )}
      <Dim>
        <Dot of={o.pipeline_ok ? 'ok' : 'critical'} /> <Link to={link.pipeline()}>{t('tonight.pipelineLine', 'Pipeline')}</Link> <Data max={300}>{o.pipeline_text}</Data>
      </Dim>
    </Rows>
  );
}

function headline(o: Overview): string {
  const c = o.servers;
  switch (o.status) {
    case 'silent':
      return plural('tonight.silentN', c.silent, 'One server is silent', '{{n}} servers are silent');
    case 'critical':
      return plural('tonight.criticalN', c.critical, 'Something is broken on one server', 'Something is broken on {{n}} servers');
    case 'warning':
      return o.pipeline_ok || c.warning > 0 ? t('tonight.warning', 'Something wants a look') : t('tonight.old', 'What you see may be old');
    case 'new':
      return t('tonight.new', 'No servers yet');
    default:
      return t('tonight.ok', 'All is well');
  }
}

function Hero({ of: o }: { of: Overview }) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const c = toneColors(theme, look(o.status).tone);
  const critical = o.servers.critical;
  return (
    <section className={cx(s.hero, css({ borderLeftColor: c.strong, background: `linear-gradient(100deg, ${c.ground}, transparent 70%), ${theme.colors.background.primary}` }))} aria-label={t('tonight.fleet', 'The fleet')}>
      <div>
        <p className={s.head}>{headline(o)}</p>
        <p className={s.text}>
          <Data max={300}>{o.text}</Data>
        </p>
      </div>
      <div className={s.tiles}>
        <Tile n={o.servers.total} of="" word={plural('tonight.servers', o.servers.total, 'server', 'servers')} to={link.servers()} />
        <Tile n={o.servers.silent} of="silent" word={t('tonight.silent', 'silent')} to={link.silent()} />
        <Tile n={critical} of="critical" word={t('tonight.critical', 'critical')} to={link.servers({ status: 'critical' })} />
        <Tile n={o.servers.warning} of="warning" word={t('tonight.withWarning', 'with a warning')} to={link.servers({ status: 'warning' })} />
        <Tile n={o.open_notifications} of="" word={t('tonight.open', 'open')} to={link.notifications({ state: 'firing' })} />
        {o.servers.clones > 0 && <Tile n={o.servers.clones} of="warning" word={t('tonight.clones', 'identities used twice')} to={link.servers({ clones: true })} />}
        {o.servers.new > 0 && <Tile n={o.servers.new} of="info" word={t('tonight.unheard', 'not heard yet')} to={link.servers({ state: 'waiting' })} />}
        {o.servers.simulated > 0 && <Tile n={o.servers.simulated} of="" word={t('tonight.simulated', 'simulated')} to={link.servers({ simulated: true })} />}
      </div>
    </section>
  );
}

function Tile({ n, word, to, of }: { n: number; word: string; to: string; of: string }) {
  const s = useStyles2(styles);
  const theme = useTheme2();
  const color = n > 0 && of ? toneColors(theme, look(of).tone).text : theme.colors.text.primary;
  return (
    <Link to={to} quiet>
      <span className={s.tile}>
        <span className={cx(s.n, css({ color }))}>{number(n)}</span>
        <span className={s.word}>{word}</span>
      </span>
    </Link>
  );
}

function Wrong() {
  const firing = { state: 'firing', muted: false, limit: shown } as const;
  const critical = useAnswer('/notifications', { ...firing, severity: 'critical' });
  const open = useAnswer('/notifications', firing);
  const total = open.data?.total ?? 0;
  return (
    <Panel title={t('tonight.wrong', 'Wrong now')} extra={total > 0 && <Link to={link.notifications({ state: 'firing' })}>{t('tonight.all', 'All {{count}}', { count: total })}</Link>}>
      <Loaded of={open}>
        {(list) => {
          // The worst are shown even where many lesser ones are newer.
          const worst = [...new Map([...(critical.data?.items ?? []), ...list.items].map((n) => [n.id, n])).values()].sort((a, b) => worse(a.severity, b.severity)).slice(0, shown);
          return worst.length ? (
            <List label={t('tonight.wrong', 'Wrong now')}>
              {worst.map((n) => (
                <NotificationItem key={n.id} of={n} />
              ))}
            </List>
          ) : (
            <Empty title={t('tonight.calm', 'Nothing is open.')}>{t('tonight.calmText', 'When a part fails, changes or falls silent, it stands here within seconds.')}</Empty>
          );
        }}
      </Loaded>
    </Panel>
  );
}

function Changed() {
  const changes = useAnswer('/changes', { limit: shown });
  return (
    <Panel title={t('tonight.changed', 'Changed lately')} extra={<Link to={link.changes()}>{t('tonight.allChanges', 'All')}</Link>}>
      <Loaded of={changes}>
        {(list) =>
          list.items.length ? (
            <List>
              {list.items.map((c) => (
                <ChangeItem key={c.id} of={c} server />
              ))}
            </List>
          ) : (
            <Empty title={t('tonight.unchanged', 'No part of any server has changed.')}>{t('tonight.unchangedText', 'A replaced drive, new firmware, more memory: it all shows up here.')}</Empty>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Silent({ judged }: { judged: boolean }) {
  const silent = useAnswer('/silent', { limit: shown });
  return (
    <Panel title={t('tonight.silentServers', 'Silent servers')} extra={<Link to={link.silent()}>{t('tonight.allChanges', 'All')}</Link>}>
      {!judged && (
        <Alert severity="warning" title={t('tonight.unjudged', 'Nobody can be judged now')}>
          {t('tonight.unjudgedText', 'The clocks stand still: a server that stops speaking is not noticed.')}
        </Alert>
      )}
      <Loaded of={silent}>
        {(list) =>
          list.items.length ? (
            <List>
              {list.items.map((s) => (
                <SilentItem key={s.server.id} of={s} />
              ))}
            </List>
          ) : judged ? (
            <Empty title={t('tonight.everybody', 'Everybody speaks.')}>{t('tonight.everybodyText', 'Servers that were shut down on purpose do not count.')}</Empty>
          ) : null
        }
      </Loaded>
    </Panel>
  );
}

function Sites({ of: o }: { of: Overview }) {
  return (
    <Panel title={t('tonight.sites', 'Sites')}>
      <List>
        {o.sites.map((s) => (
          <Item
            key={s.site}
            after={
              <>
                {s.silent > 0 && <Status of="silent" />} {s.with_open_notifications > 0 && <Tag>{t('tonight.problems', '{{count}} with problems', { count: s.with_open_notifications })}</Tag>}{' '}
                <Dim>{countServers(s.servers)}</Dim>
              </>
            }
          >
            {s.site ? (
              <Link to={link.servers({ site: s.site })}>
                <Data max={60}>{s.site}</Data>
              </Link>
            ) : (
              <Dim>{t('tonight.noSite', 'no site')}</Dim>
            )}
          </Item>
        ))}
      </List>
    </Panel>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  hero: css({ display: 'flex', flexWrap: 'wrap', justifyContent: 'space-between', alignItems: 'center', gap: theme.spacing(2), padding: theme.spacing(2, 2.5), borderRadius: theme.shape.radius.default, border: `1px solid ${theme.colors.border.weak}`, borderLeft: '4px solid' }),
  head: css({ margin: 0, fontSize: theme.typography.h3.fontSize, fontWeight: theme.typography.fontWeightMedium, lineHeight: 1.3 }),
  text: css({ margin: 0, color: theme.colors.text.secondary }),
  tiles: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(1, 3) }),
  tile: css({ display: 'flex', flexDirection: 'column', minWidth: 56 }),
  n: css({ fontSize: theme.typography.h3.fontSize, fontWeight: theme.typography.fontWeightMedium, fontVariantNumeric: 'tabular-nums', lineHeight: 1.2 }),
  word: css({ color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
});
