import { t } from '@grafana/i18n';

export const roles = ['viewer', 'editor', 'admin'] as const;

/** What a role may, as docs/api.md has it. */
export function roleText(role: string): string {
  switch (role) {
    case 'admin':
      return t('role.admin', 'everything: also rules, users, tokens, join tokens and the audit log');
    case 'editor':
      return t('role.editor', 'look, and work: acknowledge, assign, comment, silence, plan work, change labels and the register, try rules on the past');
    default:
      return t('role.viewer', 'look at everything but secrets, and change nothing');
  }
}
