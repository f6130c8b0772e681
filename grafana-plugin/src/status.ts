// What a state means to the eye: a word, a sign and a colour of the theme, so that nothing is told by colour alone.
import type { GrafanaTheme2, IconName } from '@grafana/data';
import { t } from '@grafana/i18n';

export type Tone = 'good' | 'calm' | 'info' | 'warning' | 'bad';

interface Look {
  tone: Tone;
  icon: IconName;
  word: () => string;
}

const looks: Record<string, Look> = {
  ok: { tone: 'good', icon: 'check-circle', word: () => t('status.ok', 'OK') },
  up: { tone: 'good', icon: 'check-circle', word: () => t('status.up', 'up') },
  resolved: { tone: 'good', icon: 'check-circle', word: () => t('status.resolved', 'resolved') },
  on: { tone: 'good', icon: 'check-circle', word: () => t('status.on', 'on') },
  off: { tone: 'calm', icon: 'pause', word: () => t('status.off', 'off') },
  planned: { tone: 'calm', icon: 'pause', word: () => t('status.planned', 'stopped') },
  maintenance: { tone: 'info', icon: 'calendar-alt', word: () => t('status.maintenance', 'runs now') },
  stopped: { tone: 'calm', icon: 'pause', word: () => t('status.planned', 'stopped') },
  new: { tone: 'calm', icon: 'hourglass', word: () => t('status.new', 'not heard yet') },
  waiting: { tone: 'calm', icon: 'hourglass', word: () => t('status.new', 'not heard yet') },
  decommissioned: { tone: 'calm', icon: 'minus-circle', word: () => t('status.decommissioned', 'decommissioned') },
  revoked: { tone: 'calm', icon: 'lock', word: () => t('status.revoked', 'revoked') },
  info: { tone: 'info', icon: 'info-circle', word: () => t('status.info', 'info') },
  warning: { tone: 'warning', icon: 'exclamation-triangle', word: () => t('status.warning', 'warning') },
  critical: { tone: 'bad', icon: 'times-circle', word: () => t('status.critical', 'critical') },
  error: { tone: 'bad', icon: 'times-circle', word: () => t('status.error', 'error') },
  verbose: { tone: 'calm', icon: 'minus-circle', word: () => t('status.verbose', 'verbose') },
  audit_success: { tone: 'good', icon: 'lock', word: () => t('status.auditSuccess', 'audit success') },
  audit_failure: { tone: 'warning', icon: 'lock', word: () => t('status.auditFailure', 'audit failure') },
  silent: { tone: 'bad', icon: 'bell-slash', word: () => t('status.silent', 'silent') },
  firing: { tone: 'warning', icon: 'fire', word: () => t('status.firing', 'firing') },
};

/** The look of a status or severity; one that is not known looks like info and keeps its word. */
export function look(status: string): Look {
  return looks[status] ?? { tone: 'info', icon: 'info-circle', word: () => status };
}

/** Text, border and ground of a tone; the pairs keep a contrast of 4.5 in both themes. */
export function toneColors(theme: GrafanaTheme2, tone: Tone): { text: string; border: string; ground: string; strong: string } {
  const c = { good: theme.colors.success, info: theme.colors.info, warning: theme.colors.warning, bad: theme.colors.error, calm: theme.colors.secondary }[tone];
  if (tone === 'calm') {
    return { text: theme.colors.text.secondary, border: theme.colors.border.medium, ground: theme.colors.background.secondary, strong: theme.colors.text.secondary };
  }
  return { text: c.text, border: c.borderTransparent, ground: tone === 'info' ? theme.colors.background.primary : c.transparent, // its tint leaves less than 4.5 on white
    strong: c.main };
}

const order = ['critical', 'silent', 'warning', 'info'];

/** Sorts the worst first. */
export const worse = (a: string, b: string) => (order.indexOf(a) + 5) % 5 - (order.indexOf(b) + 5) % 5;
